"""What all engines share: a table from action to method, the host owner's allow list, the deadline and the error door.

A subclass marks methods with `@does(Restart)`; the table is the list of capabilities, so the two cannot drift apart. An
unknown action is refused by name; whatever a foreign library raises stops at `door`.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar, cast

from core import errors
from core.model.actions import Action, Risk
from core.model.events import Event
from core.model.refs import EngineRef
from core.ports import Call
from runtimes.base import validation

R = TypeVar("R")
Method = TypeVar("Method", bound=Callable[..., Any])


_CALL: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call | None:
    """The call whose action is being run."""
    return _CALL.get()


def does(action: type[Action[Any]]) -> Callable[[Method], Method]:
    """Marks a method `(self, action, seconds) -> result` as the way this engine does `action`."""

    def mark(method: Method) -> Method:
        method.__does__ = action  # type: ignore[attr-defined]
        return method

    return mark


class Adapter:
    """The common half of every Runtime. Subclasses add `@does` methods and, where the engine has one, a stream."""

    _table: ClassVar[Mapping[type[Action[Any]], str]] = {}
    alternatives: ClassVar[Mapping[str, str]] = {}
    """By verb it lacks: what it can do instead, as a sentence."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Parts of an adapter may be classes of their own: each brings its table.
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

    @property
    def ref(self) -> EngineRef:
        return self._ref

    @property
    def present(self) -> bool:
        """An engine is there even when it does not answer; see ports.Runtime."""
        return True

    @property
    def verbs(self) -> frozenset[str]:
        return frozenset(action.verb for action in self._table if self._allows(action.verb))

    def allows(self, verb: str) -> bool:
        """Whether its host's owner allows a verb, be it one it has or not."""
        return self._allows(verb)

    async def run(self, action: Action[R], call: Call) -> R:
        """Runs one action to its end or to its deadline.

        Raises Unsupported, Disallowed, and the EngineErrors; TimedOut tells whether the request had left.
        """
        name = self._table.get(type(action))
        if name is None:
            raise errors.Unsupported(action.verb, str(self.ref), self._alternative(action.verb))
        if not self._allows(action.verb):
            raise errors.Disallowed(action.verb, str(self.ref))
        validation.check(action)
        seconds = min(action.timeout_seconds(), (call.deadline - datetime.now(UTC)).total_seconds())
        if seconds <= 0:
            raise errors.TimedOut(f"There was no time left to ask {self.ref}.", sent=False)
        _CALL.set(call)
        try:
            # Methods have deadlines of their own, which know what was sent; this one only catches what they forgot.
            async with asyncio.timeout(seconds + 1):
                return cast(R, await getattr(self, name)(action, seconds))
        except TimeoutError as error:
            raise errors.TimedOut(
                f"{self.ref} did not answer within {seconds:.0f} s.", sent=action.risk is not Risk.READ
            ) from error

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        raise errors.Unsupported("events", str(self.ref))

    async def aclose(self) -> None:
        return None

    def _alternative(self, verb: str) -> str:
        """What comes nearest to a verb this engine lacks: the adapter's own sentence, else what it does to such things,
        else what it knows of."""
        if verb in self.alternatives:
            return self.alternatives[verb]
        noun = verb.partition(".")[0]
        alike = sorted(word for word in self.verbs if word.partition(".")[0] == noun)
        if alike:
            return f"It can do {', '.join(alike)}."
        nouns = sorted({word.partition(".")[0] for word in self.verbs} - {"job"})
        return f"It knows no {noun}s, but has verbs for: {', '.join(nouns)}."

    def _allows(self, verb: str) -> bool:
        return not self._allow or any(fnmatch.fnmatchcase(verb, pattern) for pattern in self._allow)
