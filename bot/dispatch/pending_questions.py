"""Stores plans that wait for a confirmation or an approval.

A question contains the actions themselves, with the ids of their targets. Answering a question removes it from the
store. So if two people click on two replicas, only one of them succeeds. A question without an answer expires.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from core import errors
from core.model import action_codec
from core.model.actions import Action
from core.model.identity import Identity
from core.model.policy import Verdict
from core.store.client import Store

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without characters that are easily confused


class PendingQuestions:
    """Stores and returns questions. `ttl`: how long a question waits for its answer."""

    def __init__(self, store: Store, *, ttl: timedelta, token: Callable[[], str] | None = None) -> None:
        self.ttl = ttl
        self._store = store
        self._token = token or new_token

    async def put(
        self,
        *,
        requester: Identity,
        channel: str,
        command: str,
        line: str,
        plan: Sequence[Action[Any]],
        verdict: Verdict,
        reason: str,
        approvers: Sequence[Sequence[str]],
    ) -> Question:
        question = Question(
            token=self._token(),
            requester=requester.id,
            requester_name=requester.name,
            requester_groups=tuple(sorted(requester.groups)),
            requester_admin=requester.admin,
            channel=channel,
            command=command,
            line=line,
            plan=tuple(action_codec.encode_action(action) for action in plan),
            verdict=verdict,
            reason=reason,
            approvers=tuple(map(tuple, approvers)),
        )
        await self._store.put_question(question.token, msgspec.json.encode(question), self.ttl.total_seconds())
        return question

    async def peek(self, token: str) -> Question:
        """Returns the question and leaves it in the store. Raises Expired, and InvalidResponse for one of another
        version."""
        return _read(await self._store.peek_question(token))

    async def claim(self, token: str) -> Question:
        """Removes the question and returns it. Only one caller succeeds; the others get Expired. Raises the same errors
        as `peek`."""
        return _read(await self._store.claim_question(token))


class Question(msgspec.Struct, frozen=True):
    """Holds a pending plan, as stored. `requester`: an Identity.id (stored as `asker`), with that person's name, groups
    and `channel` when the command was given. `verdict`: CONFIRM (the requester must confirm) or APPROVE (another person
    must approve). `approvers`: as in Decision, when the question was asked; its answer is decided by the policy of its
    time."""

    token: str
    requester: str = msgspec.field(name="asker")
    requester_name: str = msgspec.field(name="asker_name")
    command: str
    line: str
    plan: tuple[bytes, ...]
    verdict: Verdict
    reason: str
    approvers: tuple[tuple[str, ...], ...] = ()
    requester_groups: tuple[str, ...] = ()
    requester_admin: bool = False
    channel: str = ""

    def identity(self) -> Identity:
        """Returns the requester, with their groups when they gave the command."""
        groups = frozenset(self.requester_groups)
        return Identity(id=self.requester, name=self.requester_name, groups=groups, admin=self.requester_admin)

    def shown_line(self, who: Identity) -> str:
        """Returns the command line as the audit shows it when `who` answers."""
        return self.line if who.id == self.requester else f"{self.line} (asked by {self.requester})"

    def actions(self) -> tuple[Action[Any], ...]:
        return tuple(action_codec.decode_action(one) for one in self.plan)


def new_token() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(8))


def _read(data: bytes | None) -> Question:
    if data is None:
        raise errors.Expired(hint="Give the command again if it is still wanted.")
    try:
        return msgspec.json.decode(data, type=Question)
    except msgspec.MsgspecError as error:
        raise errors.InvalidResponse(
            "That question was stored by another version of Quarterdeck. Nothing was done.",
            hint="Give the command again. Run the same version on all replicas.",
        ) from error
