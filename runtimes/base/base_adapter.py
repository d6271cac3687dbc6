"""Runs actions on an engine: finds the method for an action, and enforces the allow list and the deadline.

Everything that an adapter does is reached through three methods: `run`, `describe` and `events`. They raise only errors
of core.errors. Any other exception is a bug in the adapter. It becomes an InvalidResponse with a reference to the log.

A subclass marks each of its methods with the action that the method runs, such as `@does(Restart)`. The engine's list
of verbs is derived from these marks, so it always agrees with the methods. An action without a method raises
Unsupported.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar, cast

from core import errors, unexpected_errors
from core.model import host_access
from core.model.actions import Action, Risk
from core.model.containers import Container
from core.model.disk_use import DataRoot
from core.model.events import Event
from core.model.refs import EngineRef
from core.model.swarm_status import SwarmState
from core.ports import Call
from runtimes.base import argument_validation
from runtimes.formats.skipped_data import SkippedDataCounter

R = TypeVar("R")
Method = TypeVar("Method", bound=Callable[..., Any])


_CALL: ContextVar[Call | None] = ContextVar("call", default=None)


class BaseAdapter:
    """Implements the common half of every Runtime. Subclasses add `@does` methods, and implement
    `_describe_containers` and `_stream_events` if the engine has containers and events."""

    _table: ClassVar[Mapping[type[Action[Any]], str]] = {}
    alternatives: ClassVar[Mapping[str, str]] = {}
    """Maps a verb that the engine does not have, or all of a noun (`pod.*`), to a sentence that says what can be done
    instead."""
    replays_events = False
    """Whether the event stream first sends all events since the given time that the engine has stored, in order."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # An adapter may inherit from several classes, each with a table of its own.
        table: dict[type[Action[Any]], str] = {}
        for part in reversed(cls.__mro__[1:]):
            table.update(vars(part).get("_table", {}))
        for name, member in vars(cls).items():
            if (action := getattr(member, "__does__", None)) is not None:
                table[action] = name
        cls._table = table

    def __init__(self, ref: EngineRef, *, allow: Sequence[str] = ()) -> None:
        self._ref = ref
        self._allow = tuple(allow)
        self._bugs = unexpected_errors.BugReporter()
        self.skipped = SkippedDataCounter(lambda: str(self.ref))

    @property
    def ref(self) -> EngineRef:
        return self._ref

    @property
    def verbs(self) -> frozenset[str]:
        return frozenset(action.verb for action in self._table if self._allows(action.verb))

    @property
    def data_root(self) -> DataRoot | None:
        """Returns where the engine stores its data; None if it has not reported that, or has no such folder."""
        return None

    def swarm_state(self) -> SwarmState | None:
        """Returns the state of the Swarm that this engine is, as it was read last; None for any other engine."""
        return None

    def allows(self, verb: str) -> bool:
        """Returns whether the owner of the host allows a verb, even one that the engine does not have."""
        return self._allows(verb)

    def verb_refusal(self, verb: str) -> errors.QuarterdeckError | None:
        """Returns why `run` would refuse every action with this verb: Unsupported or Disallowed; None if the engine has
        the verb and its owner allows it."""
        if all(action.verb != verb for action in self._table):
            return errors.Unsupported(verb, str(self.ref), self.alternative(verb))
        return None if self._allows(verb) else errors.Disallowed(verb, str(self.ref))

    def refusal(self, action: Action[Any]) -> errors.QuarterdeckError | None:
        """Returns why `run` would refuse an action in every state of the engine, which may be a BadUsage too; None if
        it would ask the engine. Asks no engine."""
        if (refused := self.verb_refusal(action.verb)) is not None:
            return refused
        for each in action.needs():
            if not self._allows(each.verb):
                return errors.Disallowed(each.verb, str(self.ref), action.verb)
        try:
            argument_validation.validate_arguments(action)
        except errors.UserError as error:
            return error
        return None

    async def run(self, action: Action[R], call: Call) -> R:
        """Runs one action to its end or to its deadline.

        Raises Unsupported, Disallowed and the EngineErrors. After an unexpected exception, a change may have happened.
        """
        with self._bugs.translated(self.ref, action.verb, sent=action.risk is not Risk.READ):
            return await self._run(action, call)

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Inspects containers, a few at once, within `deadline` seconds for all of them. Returns them by id; None for a
        container that does not exist any more. Raises the EngineErrors."""
        with self._bugs.translated(self.ref, "container.inspect", sent=False):
            try:
                # The method has deadlines of its own; this one is for what they leave out.
                async with asyncio.timeout(deadline + 1):
                    return await self._describe_containers(ids, deadline)
            except TimeoutError as error:
                raise errors.TimedOut(
                    f"{self.ref} did not inspect {len(ids)} containers within {deadline:.0f} s.",
                    sent=False,
                    hint="Check the load of the engine's host: CPU, memory and disks.",
                ) from error

    async def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        """Opens the event stream; see core.ports.Runtime. Raises Unsupported and the EngineErrors."""
        stream: AsyncIterator[Sequence[Event]] | None = None
        try:
            with self._bugs.translated(self.ref, "events", sent=False):
                stream = self._stream_events(since_ns)
            while True:
                with self._bugs.translated(self.ref, "events", sent=False):
                    batch = await anext(stream, None)
                if batch is None:
                    return
                yield batch
        finally:
            if (aclose := getattr(stream, "aclose", None)) is not None:
                with self._bugs.translated(self.ref, "events", sent=False):
                    await aclose()

    async def _run(self, action: Action[R], call: Call) -> R:
        if (refused := self.refusal(action)) is not None:
            raise refused
        name = self._table[type(action)]
        seconds = min(action.timeout_seconds(), (call.deadline - datetime.now(UTC)).total_seconds())
        if seconds <= 0:
            raise errors.TimedOut(
                f"The command reached its time limit before Quarterdeck asked {self.ref}. Nothing was sent to it.",
                sent=False,
                hint="Give the command again. If it has many targets, name fewer of them.",
            )
        _CALL.set(call)
        try:
            # Methods have deadlines of their own, which know what was sent; this one is for what they leave out.
            async with asyncio.timeout(seconds + 1):
                return cast(R, await getattr(self, name)(action, seconds))
        except TimeoutError as error:
            raise errors.TimedOut(
                f"{self.ref} did not answer within {seconds:.0f} s.",
                sent=action.risk is not Risk.READ,
                hint="Check the load of the engine's host: CPU, memory and disks.",
            ) from error

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        raise errors.Unsupported("container.inspect", str(self.ref), self.alternative("container.inspect"))

    def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        raise errors.Unsupported("events", str(self.ref))

    async def aclose(self) -> None:
        return None

    def alternative(self, verb: str) -> str:
        """Returns what the engine can do instead of a verb that it does not have: the adapter's own sentence for the
        verb or for its noun, else its verbs for the same kind of resource, else the kinds for which it has verbs."""
        noun = verb.partition(".")[0]
        for key in (verb, f"{noun}.*"):
            if key in self.alternatives:
                return self.alternatives[key]
        alike = sorted(word for word in self.verbs if word.partition(".")[0] == noun)
        if alike:
            return f"It supports: {', '.join(alike)}."
        nouns = sorted({word.partition(".")[0] for word in self.verbs} - {"job"})
        return f"The engine has no {noun}s. It supports these kinds of resources: {', '.join(nouns)}."

    def _allows(self, verb: str) -> bool:
        if verb == host_access.VERB:  # the owner of a host must name it
            return any(fnmatch.fnmatchcase(verb, one) and one.startswith(host_access.PREFIX) for one in self._allow)
        return not self._allow or any(fnmatch.fnmatchcase(verb, pattern) for pattern in self._allow)


def current_call() -> Call | None:
    """Returns the call whose action is being run."""
    return _CALL.get()


def does(action: type[Action[Any]]) -> Callable[[Method], Method]:
    """Marks a method `(self, action, seconds) -> result` as the one that runs `action`."""

    def mark(method: Method) -> Method:
        method.__does__ = action  # type: ignore[attr-defined]
        return method

    return mark
