"""Runs tasks that have a name and an owner: none is left running at the end, and no failure is lost.

`start_background` starts endless tasks. A crashed one starts again, or, without a Backoff, its crash stops everything.
`start_oneshot` starts short work; the number of such tasks is bounded. Stopping has an order: new work is refused,
running work may finish, endless tasks are cancelled, then what was opened is closed, the last first. Whatever exceeds
its deadline is cancelled and named in the log. A second Ctrl-C shortens all deadlines.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from core import errors

log = structlog.get_logger(__name__)
HURRY_SECONDS = 1.0  # seconds a step of closing still gets when somebody is in a hurry
CANCEL_SECONDS = 5.0  # seconds a cancelled task may take to end
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How a crashed task comes back: after `base` seconds at most, doubling up to `cap`; one that had run for `stable`
    seconds begins again at `base`."""

    base: float = 0.5
    cap: float = 30.0
    stable: float = 60.0


def backoff_seconds(attempt: int, base: float, cap: float, rng: random.Random) -> float:
    """Seconds to wait before attempt 1, 2, …: anything up to base·2^(attempt-1), never more than `cap` (full jitter, so
    that many who lost the same thing do not come back together)."""
    return rng.uniform(0.0, min(cap, base * 2.0 ** min(attempt - 1, 60)))


class Supervisor:
    """Use as `async with`: on leaving all is drained and closed, and the error of a death that was fatal is raised.

    `drain_seconds`: how long running work may still take; `max_tasks`: the maximum of one-shot tasks. `on_restart` is
    called with the name of a task that crashed.
    """

    def __init__(
        self,
        *,
        drain_seconds: float = 10.0,
        max_tasks: int = 256,
        rng: random.Random | None = None,
        on_restart: Callable[[str], object] | None = None,
    ) -> None:
        self._drain_seconds, self._max_tasks = drain_seconds, max_tasks
        self._rng = rng or random.Random()  # noqa: S311 (jitter, not a secret)
        self._on_restart = on_restart
        self._kept: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Task[Any]] = set()
        self._closers: list[tuple[str, Callable[[], Awaitable[object]], float]] = []
        self._stopped, self._hurried = asyncio.Event(), asyncio.Event()
        self._fatal: BaseException | None = None
        self._signals: dict[signal.Signals, Any] = {}  # and who handled each before us
        self._instead: list[Callable[[], object]] = []
        self.refused = 0  # one-shot work turned away

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
        if self._fatal is not None and error is None:
            raise self._fatal

    @property
    def stopping(self) -> asyncio.Event:
        """Set when stopping began; what takes new work in closes its door then, before work under way is waited for."""
        return self._stopped

    async def serve_until_stopped(self) -> None:
        """Returns when `stop` was called, a signal came, or a task without restart died."""
        self.catch_signals()
        await self._stopped.wait()

    def catch_signals(self) -> None:
        """From now on until closed: SIGINT and SIGTERM stop; a second one hurries."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            if number not in self._signals:
                self._signals[number] = signal.getsignal(number)
                loop.add_signal_handler(number, self._on_signal, number)

    def start_background(
        self, name: str, factory: Callable[[], Coroutine[Any, Any, object]], restart: Backoff | None = None
    ) -> asyncio.Task[None]:
        """Keeps a task. Crashed, it starts anew if `restart` says how; else its death ends everything. One that returns
        has finished."""
        task = asyncio.get_running_loop().create_task(self._keep(name, factory, restart), name=name)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        return task

    def start_oneshot(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """One-shot work that is waited for at the end. Raises Refused when too much is under way or we are stopping."""
        if self._stopped.is_set() or len(self._work) >= self._max_tasks:
            work.close()
            self.refused += 1
            if self._stopped.is_set():
                raise errors.Refused("Quarterdeck is stopping.", hint="Try again when it is back.")
            raise errors.Refused(f"{self._max_tasks} things are being done already.", hint="Try again in a moment.")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._work.add(task)
        task.add_done_callback(self._ended)
        return task

    def on_close(self, name: str, close: Callable[[], Awaitable[object]], deadline: float = 5.0) -> None:
        """Registers a teardown the moment a thing is opened; `deadline` in seconds."""
        self._closers.append((name, close, deadline))

    def stop(self, reason: str = "asked to") -> None:
        if not self._stopped.is_set():
            log.info("stopping", reason=reason, working=len(self._work))
            self._stopped.set()

    def shorten_deadlines(self) -> None:
        self._hurried.set()

    async def aclose(self) -> None:
        """Ends everything, in order; safe to call twice. A cancellation meanwhile hurries it, no more."""
        closing = asyncio.get_running_loop().create_task(self._close(), name="closing")
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            self.shorten_deadlines()
            await closing
            raise
        finally:
            while self._signals:
                number, before = self._signals.popitem()
                asyncio.get_running_loop().remove_signal_handler(number)
                signal.signal(number, before)

    async def _keep(
        self, name: str, factory: Callable[[], Coroutine[Any, Any, object]], restart: Backoff | None
    ) -> None:
        loop, task, attempt = asyncio.get_running_loop(), asyncio.current_task(), 0
        assert task is not None
        while True:
            began = loop.time()
            try:
                await factory()
            except asyncio.CancelledError as error:
                if task.cancelling():
                    raise
                # Nobody cancelled this task: something it awaited was cancelled, which is a crash like any other.
                died: BaseException = RuntimeError(f"{name} was cancelled from within")
                died.__cause__ = error
            except Exception as error:
                died = error
            else:
                return
            if task.cancelling():
                log.error("a task failed while it ended", task=name, exc_info=died)
                return
            if restart is None:
                log.error("a task died, everything ends", task=name, exc_info=died)
                self._fatal = self._fatal or died
                self.stop(f"{name} died")
                return
            attempt = 1 if loop.time() - began >= restart.stable else attempt + 1
            pause = backoff_seconds(attempt, restart.base, restart.cap, self._rng)
            log.error(
                "a task crashed and starts anew", task=name, attempt=attempt, pause=round(pause, 2), exc_info=died
            )
            self._tell_restart(name)
            await asyncio.sleep(pause)

    def _tell_restart(self, name: str) -> None:
        if self._on_restart is not None:
            try:
                self._on_restart(name)
            except Exception:  # a counter must not keep a task from coming back
                log.exception("a restart could not be counted", task=name)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work failed", task=task.get_name(), exc_info=error)

    @contextlib.contextmanager
    def on_interrupt(self, instead: Callable[[], object]) -> Iterator[None]:
        """While inside, the first Ctrl-C calls that; the next one stops as ever."""
        self._instead.append(instead)
        try:
            yield
        finally:
            if instead in self._instead:
                self._instead.remove(instead)

    def _on_signal(self, number: signal.Signals) -> None:
        if number is signal.SIGINT and self._instead and not self._stopped.is_set():
            self._instead.pop()()
            return
        if self._stopped.is_set():
            log.warning("hurrying", reason=number.name)
            self.shorten_deadlines()
        self.stop(number.name)

    async def _close(self) -> None:
        self._stopped.set()
        # Endless tasks live on while work is drained: it may need them.
        await self._cancel(await self._wait(self._work, self._drain_seconds), "work was cut short")
        await self._cancel(self._kept)
        self._kept.clear()
        while self._closers:
            name, close, deadline = self._closers.pop()
            await self._close_one(name, close, deadline)

    async def _close_one(self, name: str, close: Callable[[], Awaitable[object]], deadline: float) -> None:
        async def closing() -> None:
            await close()

        task = asyncio.get_running_loop().create_task(closing(), name=f"close {name}")
        if await self._wait({task}, deadline):
            await self._cancel({task}, "closing took too long")
        elif task.cancelled() or task.exception() is not None:
            log.error("closing failed", closing=name, exc_info=None if task.cancelled() else task.exception())

    async def _wait(self, tasks: Iterable[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
        """Those not done after so many seconds, or HURRIED after somebody got into a hurry."""
        loop = asyncio.get_running_loop()
        hurry = loop.create_task(self._hurried.wait(), name="hurry")
        left, ends, hurried = {task for task in tasks if not task.done()}, loop.time() + seconds, False
        while left and (remaining := ends - loop.time()) > 0:
            watched = left if hurried else {*left, hurry}
            await asyncio.wait(watched, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
            left = {task for task in left if not task.done()}
            if hurry.done() and not hurried:
                hurried, ends = True, min(ends, loop.time() + HURRY_SECONDS)
        hurry.cancel()
        return left

    async def _cancel(self, tasks: Iterable[asyncio.Task[Any]], why: str = "") -> None:
        left = {task for task in tasks if not task.done()}
        for task in left:
            if why:
                log.warning(why, task=task.get_name())
            task.cancel()
        for task in await self._wait(left, CANCEL_SECONDS):
            log.error("a task does not end and is left behind", task=task.get_name())
