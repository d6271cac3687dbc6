"""Plans that wait for a yes. A plan is kept as the very actions that were decided, ids pinned; answering takes it out
of the store, so of two clicks on two replicas one wins. Unanswered ones expire."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from core import errors
from core.model import wire
from core.model.actions import Action
from core.model.policy import Verdict
from core.store.client import Store

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is misread aloud


class Question(msgspec.Struct, frozen=True):
    """`asker` is an Identity's id; `verdict` what is wanted (CONFIRM by the asker, APPROVE by another); `approvers` are
    subjects as in a grant, empty for anybody who may do it."""

    token: str
    asker: str
    asker_name: str
    command: str
    line: str
    plan: tuple[bytes, ...]
    verdict: Verdict
    reason: str
    approvers: tuple[str, ...] = ()

    def actions(self) -> tuple[Action[Any], ...]:
        return tuple(wire.decode(one) for one in self.plan)


def new_token() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(8))


class Approvals:
    def __init__(self, store: Store, *, ttl: timedelta, token: Callable[[], str] = new_token) -> None:
        self.ttl = ttl
        self._store = store
        self._token = token

    async def put(
        self,
        *,
        asker: str,
        asker_name: str,
        command: str,
        line: str,
        plan: Sequence[Action[Any]],
        verdict: Verdict,
        reason: str,
        approvers: Sequence[str],
    ) -> Question:
        question = Question(
            token=self._token(),
            asker=asker,
            asker_name=asker_name,
            command=command,
            line=line,
            plan=tuple(wire.encode(action) for action in plan),
            verdict=verdict,
            reason=reason,
            approvers=tuple(approvers),
        )
        await self._store.put_question(question.token, msgspec.json.encode(question), self.ttl.total_seconds())
        return question

    async def peek(self, token: str) -> Question:
        """The question, left where it is. Raises Expired, and InvalidResponse for one of another version."""
        return _read(await self._store.peek_question(token))

    async def claim(self, token: str) -> Question:
        """The question, taken out: one winner. Raises Expired for everybody else, and as `peek`."""
        return _read(await self._store.claim_question(token))


def _read(data: bytes | None) -> Question:
    if data is None:
        raise errors.Expired(hint="Give the command again if it is still wanted.")
    try:
        return msgspec.json.decode(data, type=Question)
    except msgspec.MsgspecError as error:
        raise errors.InvalidResponse(
            "That question was asked by another version of Quarterdeck.",
            hint="Nothing was done; give the command again if it is still wanted.",
        ) from error
