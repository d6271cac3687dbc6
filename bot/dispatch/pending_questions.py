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
from core.model.invocation import Identity, Place
from core.model.policy import Verdict
from core.store.client import Store
from core.text import sanitize

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without characters that are easily confused; capitals are accepted


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
        place: Place,
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
            people=(Person.of(requester, place),),
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
        return _read(token, await self._store.peek_question(token.lower()))

    async def add_person(self, question: Question, person: Person) -> None:
        """Adds somebody who approved to a stored question. Raises Expired if it was answered or changed meanwhile."""
        more = msgspec.structs.replace(question, people=(*question.people, person))
        if not await self._store.replace_question(
            question.token, msgspec.json.encode(question), msgspec.json.encode(more)
        ):
            raise errors.Expired(
                "Your answer was not counted: somebody else answered this question at the same moment.",
                hint=f"If the question is still open, approve it again with: confirm {question.token}",
            )

    async def claim(self, token: str) -> Question:
        """Removes the question and returns it. Only one caller succeeds; the others get Expired. Raises the same errors
        as `peek`."""
        return _read(token, await self._store.claim_question(token.lower()))


class Person(msgspec.Struct, frozen=True):
    """Holds a person as they were when they gave a command or approved one: their groups then, and the channel."""

    id: str
    name: str
    groups: tuple[str, ...] = ()
    admin: bool = False
    channel: str = ""

    @staticmethod
    def of(who: Identity, place: Place) -> Person:
        groups = tuple(sorted(who.groups))
        return Person(id=who.id, name=who.name, groups=groups, admin=who.admin, channel=place.channel)

    def identity(self) -> Identity:
        return Identity(id=self.id, name=self.name, groups=frozenset(self.groups), admin=self.admin)

    def place(self) -> Place:
        return Place(channel=self.channel)


class Question(msgspec.Struct, frozen=True):
    """Holds a pending plan, as stored. `requester`: an Identity.id (stored as `asker`). `people`: the requester, then
    those who approved so far. `verdict`: CONFIRM (the requester must confirm) or APPROVE (another person
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
    people: tuple[Person, ...]
    approvers: tuple[tuple[str, ...], ...] = ()

    def shown_line(self, who: Identity) -> str:
        """Returns the command line as the audit shows it when `who` answers."""
        return self.line if who.id == self.requester else f"{self.line} (asked by {self.requester})"

    def actions(self) -> tuple[Action[Any], ...]:
        return tuple(action_codec.decode_action(one) for one in self.plan)


def new_token() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(8))


def _read(token: str, data: bytes | None) -> Question:
    if data is None:
        raise errors.Expired(
            f"The question {sanitize.single_line(token, 20)} has expired or was already answered.",
            hint="If the change is still wanted, give the command again.",
        )
    try:
        return msgspec.json.decode(data, type=Question)
    except msgspec.MsgspecError as error:
        raise errors.InvalidResponse(
            f"The question {sanitize.single_line(token, 20)} was stored by another version of Quarterdeck. Nothing was"
            " done.",
            hint="Give the command again. Run the same version on all replicas.",
        ) from error
