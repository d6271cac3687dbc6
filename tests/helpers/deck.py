"""A whole dispatcher for tests: command lines in, replies out, over the engines a test brings and a real store."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from bot import builtin_runtime
from bot.access import policy_in_force
from bot.dispatch import audit, dispatcher, pending_questions, rate_limits
from commands.catalogue import load_catalogue
from core.metrics import Metrics
from core.model.actions import Risk
from core.model.invocation import Identity, Invocation, Place
from core.model.policy import Policy
from core.model.replies import Reply
from core.ports import Responder, Runtime
from core.store.client import Store
from core.store.records import RateLimitRule
from runtimes.inventory.fleet import Fleet

WORDS = load_catalogue()
OWNER = Identity(id="console:alice", name="alice", admin=True)
CONSOLE = Place(channel="console")
AT_CONSOLE = Place(channel="console", kind="console")  # where a reply may write a file
_DECKS = itertools.count()


def now() -> datetime:
    return datetime.now(UTC)


class Deck:
    """One replica. `say` is what a person types; `token` names the questions it asks."""

    def __init__(
        self,
        url: str,
        engines: Sequence[Runtime] = (),
        *,
        policy: Policy | None = None,
        token: Callable[[], str] = pending_questions.new_token,
        seconds: float = 60.0,
    ) -> None:
        self.store = Store.open(url)
        self.engines = tuple(engines)
        self.seconds = seconds
        self.stopping = asyncio.Event()
        self.policies = policy_in_force.PolicyInForce(self.store, policy or Policy())
        self.desk = builtin_runtime.BuiltinRuntime(policies=self.policies, store=self.store, catalogue=WORDS, clock=now)
        self.fleet = Fleet(self.engines, builtin=self.desk)
        self.desk.fleet = self.fleet
        self.audit = audit.Audit(self.store, clock=now, count=lambda phase: None)
        self._ids = map(f"i{next(_DECKS)}.{{}}".format, itertools.count())  # several may share a store
        self._dispatcher = dispatcher.Dispatcher(
            catalogue=WORDS,
            fleet=self.fleet,
            store=self.store,
            policies=self.policies,
            limits=rate_limits.RateLimits(dict.fromkeys(Risk, RateLimitRule(count=10_000, period=1.0))),
            pending_questions=pending_questions.PendingQuestions(self.store, ttl=timedelta(minutes=5), token=token),
            audit=self.audit,
            metrics=Metrics(),
            clock=now,
            replica="one",
            stopping=self.stopping,
        )

    async def __aenter__(self) -> Deck:
        await self.store.heartbeat("one", 300)
        return self

    async def __aexit__(self, *error: object) -> None:
        for engine in self.engines:
            await engine.aclose()
        await self.store.aclose()

    def line(
        self,
        line: str,
        who: Identity = OWNER,
        place: Place = CONSOLE,
        *,
        as_records: bool = False,
        verify: bool = False,
    ) -> Invocation:
        at = now()
        return Invocation(
            id=next(self._ids),
            who=who,
            line=line,
            place=place,
            at=at,
            deadline=at + timedelta(seconds=self.seconds),
            as_records=as_records,
            verify=verify,
        )

    async def say(
        self,
        line: str,
        who: Identity = OWNER,
        place: Place = CONSOLE,
        responder: Responder | None = None,
        *,
        as_records: bool = False,
        verify: bool = False,
    ) -> Reply:
        """`verify`: as Slack and the console ask for it."""
        inv = self.line(line, who, place, as_records=as_records, verify=verify)
        reply = await self._dispatcher.answer(inv, responder)
        assert reply is not None
        return reply
