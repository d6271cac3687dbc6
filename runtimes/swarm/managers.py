"""Several managers as ways into one Swarm: a question goes in, the answer of whichever manager gives one comes out.

The one that answered last is asked first. A read that finds a manager gone, silent or without a leader goes on to the
next, each with its share of the time, and once more to the first, since a manager whose leader died may swallow one
question and answer the next. A change goes on only where it surely did nothing: it did not leave, or the manager said
that it is none or has no leader. Whatever else happens to a change ends it, UNKNOWN where a manager had handed it on.
A verb goes only through doors whose owner allows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core import errors
from core.model.refs import EngineRef
from runtimes.swarm import decode
from runtimes.transport import http_client

READS = frozenset({"GET", "HEAD"})
CHOOSING = "A Swarm that chooses another leader is back within half a minute."
LEAST = 0.05  # seconds that are worth another question
ALWAYS = ""  # the verb of what we ask for ourselves, to watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A daemon's part in a Swarm. `cluster`: the Swarm's id, empty where a manager cannot tell for want of a leader."""

    manager: bool
    cluster: str = ""


class Door(Protocol):
    """One daemon of the Swarm. `permits`: whether its owner allows a verb."""

    @property
    def ref(self) -> EngineRef: ...

    @property
    def address(self) -> str: ...

    @property
    def api(self) -> str:
        """The version of the API that is spoken with it."""
        ...

    def permits(self, verb: str) -> bool: ...

    async def ask(self, method: str, target: str, seconds: float, *, body: Any = None) -> http_client.Response: ...

    async def stream(self, target: str, seconds: float) -> http_client.Stream: ...


class Doors:
    """Those of one Swarm, in the order in which they are tried. `doubt` is told of one that says it is no manager."""

    def __init__(self, engine: Callable[[], EngineRef], doubt: Callable[[Door], None]) -> None:
        self._engine = engine
        self._doubt = doubt
        self._doors: list[Door] = []

    @property
    def all(self) -> Sequence[Door]:
        return tuple(self._doors)

    def add(self, door: Door) -> None:
        if door not in self._doors:
            self._doors.append(door)

    def remove(self, door: Door) -> None:
        if door in self._doors:
            self._doors.remove(door)

    def permit(self, verb: str) -> bool:
        """Where there is no door, that is what is wrong, and nobody's list."""
        return not self._doors or any(door.permits(verb) for door in self._doors)

    async def ask(
        self, verb: str, method: str, target: str, seconds: float, *, body: Any = None
    ) -> http_client.Response:
        """One exchange with whichever door answers. Raises NotFound, Rejected and the other EngineErrors."""
        answer: http_client.Response = await self._through(
            verb, seconds, method in READS, lambda door, left: door.ask(method, target, left, body=body)
        )
        return answer

    async def stream(self, verb: str, target: str, seconds: float) -> http_client.Stream:
        """A long answer to a GET, whatever its status."""
        stream: http_client.Stream = await self._through(
            verb, seconds, True, lambda door, left: door.stream(target, left)
        )
        return stream

    async def _through(self, verb: str, seconds: float, reads: bool, use: Callable[[Door, float], Any]) -> Any:
        ends = time.monotonic() + seconds
        tried = [door for door in self._doors if not verb or door.permits(verb)]
        if not tried:
            raise self._shut(verb)
        if reads:
            tried.append(tried[0])
        troubles: list[errors.EngineError] = []
        for number, door in enumerate(tried):
            left = ends - time.monotonic()
            if number and left <= LEAST:
                break
            if number and door is tried[0] and not isinstance(troubles[0], errors.TimedOut):
                break  # it has said that it cannot
            try:
                answer = await use(door, left / (len(tried) - number) if reads else left)
            except errors.EngineError as error:
                troubles.append(self._judged(error, door, reads))
                continue
            if door in self._doors and self._doors[0] is not door:  # it may be none of ours any more
                self._doors.remove(door)
                self._doors.insert(0, door)
            return answer
        raise self._told(troubles, seconds, reads)

    def _told(self, troubles: Sequence[errors.EngineError], seconds: float, reads: bool) -> errors.EngineError:
        """What tells the most of these: a manager that has no leader, one that says nothing, one that is gone."""
        found = min(troubles, key=_silence)
        if reads and isinstance(found, errors.TimedOut):
            said = f"{self._engine()} did not answer within {seconds:.0f} s."
            return errors.TimedOut(said, sent=found.sent, hint=CHOOSING)
        return found

    def _judged(self, error: errors.EngineError, door: Door, reads: bool) -> errors.EngineError:
        """The error to go on to the next door with; raises it where nothing else may be tried."""
        text = error.text if isinstance(error, errors.Rejected) else ""
        if decode.NO_MANAGER in text:
            self._doubt(door)
            return errors.Unreachable(f"{door.ref} is no manager of {self._engine()} any more.")
        if decode.LEADERLESS in text:
            return decode.leaderless(self._engine())
        if any(words in text for words in decode.HANDED_ON):
            late = errors.TimedOut(f"{self._engine()} did not answer {door.ref}: {text}.", sent=not reads)
            if reads:
                return late
            raise late from error
        went_nowhere = isinstance(error, errors.Unreachable | errors.TimedOut) and (reads or not error.sent)
        if went_nowhere or (reads and isinstance(error, errors.InvalidResponse)):
            return error
        raise error

    def _shut(self, verb: str) -> errors.QuarterdeckError:
        if self._doors:
            return errors.Disallowed(verb, str(self._engine()))
        return errors.Unreachable(f"None of {self._engine()}'s managers is known here any more.")


def _silence(error: errors.EngineError) -> int:
    return 2 if isinstance(error, errors.Unreachable) else 1 if isinstance(error, errors.TimedOut) else 0
