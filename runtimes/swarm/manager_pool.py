"""Sends requests to a Swarm through whichever of its managers answers.

Each request goes first to the manager that answered the last one. If a manager is unreachable, silent or without a
leader, a read is sent to the next manager; each manager gets a share of the time. At the end, a read is sent to the
first manager once more, because a manager whose leader died may lose one request and answer the next. A change is sent
to another manager only if it certainly had no effect: the request was not sent, or the manager answered that it is no
manager or has no leader. Every other error of a change is final. Its outcome is UNKNOWN if the manager had forwarded
the request to its leader. An action is sent only to managers whose `allow` list contains its verb.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from core import errors
from core.model.refs import EngineRef
from runtimes.swarm import decode, error_messages
from runtimes.transport import http_client

READS = frozenset({"GET", "HEAD"})
ELECTION_HINT = "A Swarm that elects a new leader is back within half a minute."
MIN_SECONDS = 0.05  # less is not worth another request
ANY_VERB = ""  # the verb of Quarterdeck's own requests, which every manager may get


class ManagerPool:
    """Holds the managers of one Swarm in the order in which they are tried, and sends requests to them. `on_refused` is
    called with each daemon that answers that it is no manager."""

    def __init__(self, engine: Callable[[], EngineRef], on_refused: Callable[[Manager], None]) -> None:
        self._engine = engine
        self._on_refused = on_refused
        self._managers: list[Manager] = []

    @property
    def all(self) -> Sequence[Manager]:
        return tuple(self._managers)

    def add(self, manager: Manager) -> None:
        if manager not in self._managers:
            self._managers.append(manager)

    def remove(self, manager: Manager) -> None:
        if manager in self._managers:
            self._managers.remove(manager)

    def permit(self, verb: str) -> bool:
        """Whether the owner of at least one manager allows a verb. Also True without a manager, so that the error
        reports the missing manager, not an allow list."""
        return not self._managers or any(manager.permits(verb) for manager in self._managers)

    async def ask(
        self,
        verb: str,
        method: str,
        target: str,
        seconds: float,
        *,
        body: Any = None,
        image: str = "",
        needs: Sequence[str] = (),
    ) -> http_client.Response:
        """Sends one request to whichever manager answers. `image`: the login of its registry goes along; `needs`: other
        verbs that the manager must permit. Raises NotFound, Rejected and the other EngineErrors."""
        answer: http_client.Response = await self._try_each(
            verb,
            seconds,
            method in READS,
            lambda manager, left: manager.ask(method, target, left, body=body, image=image),
            needs,
        )
        return answer

    async def stream(self, verb: str, target: str, seconds: float) -> http_client.Stream:
        """Opens a stream of the answer to a GET, whatever its status. Raises EngineError."""
        stream: http_client.Stream = await self._try_each(
            verb, seconds, True, lambda manager, left: manager.stream(target, left)
        )
        return stream

    async def _try_each(
        self,
        verb: str,
        seconds: float,
        reads: bool,
        use: Callable[[Manager, float], Any],
        needs: Sequence[str] = (),
    ) -> Any:
        ends = time.monotonic() + seconds
        wanted = (*((verb,) if verb else ()), *needs)
        tried = [manager for manager in self._managers if all(map(manager.permits, wanted))]
        if not tried:
            raise self._no_manager(verb)
        if reads:
            tried.append(tried[0])
        failures: list[errors.EngineError] = []
        for number, manager in enumerate(tried):
            left = ends - time.monotonic()
            if number and left <= MIN_SECONDS:
                break
            if number and manager is tried[0] and not isinstance(failures[0], errors.TimedOut):
                break  # it answered, so a second request would get the same answer
            try:
                answer = await use(manager, left / (len(tried) - number) if reads else left)
            except errors.EngineError as error:
                failures.append(self._retryable(error, manager, reads))
                continue
            if manager in self._managers and self._managers[0] is not manager:  # it may have left meanwhile
                self._managers.remove(manager)
                self._managers.insert(0, manager)
            return answer
        raise self._most_telling(failures, seconds, reads)

    def _most_telling(self, failures: Sequence[errors.EngineError], seconds: float, reads: bool) -> errors.EngineError:
        """Returns the error that explains most: no leader, then no answer in time, then unreachable."""
        found = min(failures, key=_silence)
        if reads and isinstance(found, errors.TimedOut):
            message = f"{self._engine()} did not answer within {seconds:.0f} s."
            return errors.TimedOut(message, sent=found.sent, hint=ELECTION_HINT)
        return found

    def _retryable(self, error: errors.EngineError, manager: Manager, reads: bool) -> errors.EngineError:
        """Returns the error if the next manager may be tried after it. Otherwise raises it."""
        rejected = error if isinstance(error, errors.Rejected) else None
        text = rejected.text if rejected is not None else ""
        if error_messages.is_no_manager(text):
            self._on_refused(manager)
            return errors.Unreachable(
                f"{manager.ref} is not a manager of {self._engine()} now.", hint="Give the command again."
            )
        if error_messages.is_leaderless(text):
            return decode.leaderless(self._engine())
        if error_messages.is_lost(text):
            late = errors.TimedOut(
                f"The manager {manager.ref} got no answer from the leader of {self._engine()}: {text}.",
                sent=not reads,
                hint="Check the network between the managers.",
            )
            if reads:
                return late
            raise late from error
        did_nothing = isinstance(error, errors.Unreachable | errors.TimedOut) and (reads or not error.sent)
        if did_nothing or (reads and isinstance(error, errors.InvalidResponse)):
            return error
        if rejected is not None and (plain := error_messages.own_words(text)) != text:
            raise errors.Rejected(rejected.code, plain, hint=error.hint) from error
        raise error

    def _no_manager(self, verb: str) -> errors.QuarterdeckError:
        if self._managers:
            # The configuration lists the managers, not the Swarm.
            return errors.Disallowed(verb, " and ".join(str(manager.ref) for manager in self._managers[:4]))
        return errors.Unreachable(
            f"Quarterdeck has no connection to a manager of {self._engine()}.",
            hint="Check with `engines` whether the Docker engines of its managers are reachable.",
        )


class Manager(Protocol):
    """A Docker daemon that manages the Swarm. `permits`: whether its owner allows a verb."""

    @property
    def ref(self) -> EngineRef: ...

    @property
    def address(self) -> str: ...

    @property
    def api(self) -> str:
        """The API version that both sides use."""
        ...

    def permits(self, verb: str) -> bool: ...

    async def ask(
        self, method: str, target: str, seconds: float, *, body: Any = None, image: str = ""
    ) -> http_client.Response:
        """Sends one request. `image`: the login of its registry goes along, if this daemon may have it."""
        ...

    async def stream(self, target: str, seconds: float) -> http_client.Stream: ...


def _silence(error: errors.EngineError) -> int:
    return 2 if isinstance(error, errors.Unreachable) else 1 if isinstance(error, errors.TimedOut) else 0
