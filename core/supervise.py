"""Runs the tasks of the process. No task is left running when the process stops, and no failure of a task is lost.

`start_background` starts endless tasks. A task that crashed starts again after a Backoff; a crash of a task without a
Backoff stops the process. `start_oneshot` starts a short task; their number is bounded. The process stops in this
order: new tasks are refused, short tasks may finish, endless tasks are cancelled, and opened resources are closed, the
last opened first. A task that exceeds its deadline is cancelled. A second Ctrl-C shortens all deadlines.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from core import errors, tasks
from core.lazy_dataclass import dataclass

log = structlog.get_logger(__name__)
HURRY_SECONDS = 1.0  # seconds for each step of closing after shorten_deadlines()
CANCEL_SECONDS = 5.0  # seconds that a cancelled task may take to end
SIGNALS = (signal.SIGINT, signal.SIGTERM)
ITEMS_IN_TURN, SECONDS_IN_TURN = 100, 0.02  # of a long loop, until other tasks run
T = TypeVar("T")


class Supervisor:
    """Starts and stops the tasks of a process. Leaving its `async with` stops all tasks, and raises the fatal error.
    Inside it, failures of other tasks are reported, too; see core.tasks.

    `drain_seconds`: how long running work may still take; `max_tasks`: the maximum of one-shot tasks. `on_restart` is
    called with the name of a task that crashed and starts again, `on_failure` with that of another one that failed;
    both may be set later.
    """

    def __init__(
        self,
        *,
        drain_seconds: float = 10.0,
        max_tasks: int = 256,
        rng: random.Random | None = None,
        on_restart: Callable[[str], object] | None = None,
        on_failure: Callable[[str], object] | None = None,
    ) -> None:
        self._drain_seconds, self._max_tasks = drain_seconds, max_tasks
        self._rng = rng or random.Random()  # noqa: S311 (jitter, not a secret)
        self.on_restart, self.on_failure = on_restart, on_failure
        self._failures = tasks.FailureReporter(lambda name: self.on_failure and self.on_failure(name))
        self._previous_handler: Any = None  # of the loop's exceptions
        self._background: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Task[Any]] = set()
        self._closers: list[tuple[str, Callable[[], Awaitable[object]], float]] = []
        self._stopping, self._hurried = asyncio.Event(), asyncio.Event()
        self._fatal: BaseException | None = None
        self._signals: dict[signal.Signals, Any] = {}  # and the previous handler of each
        self._on_interrupt: list[Callable[[], object]] = []
        self.refused = 0  # number of one-shot tasks that were refused

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._previous_handler = loop.get_exception_handler()
        loop.set_exception_handler(self._failures)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        finally:
            asyncio.get_running_loop().set_exception_handler(self._previous_handler)
        if self._fatal is not None and error is None:
            raise self._fatal

    @property
    def stopping(self) -> asyncio.Event:
        """Set when stopping begins. Listeners then stop accepting new work, before running work is awaited."""
        return self._stopping

    async def serve_until_stopped(self) -> None:
        """Returns after `stop`, after a signal, or after the crash of a task without restart."""
        self.catch_signals()
        await self._stopping.wait()

    def catch_signals(self) -> None:
        """Until closing, SIGINT and SIGTERM stop the process; a second signal shortens all deadlines."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            if number not in self._signals:
                self._signals[number] = signal.getsignal(number)
                loop.add_signal_handler(number, self._on_signal, number)

    def start_background(
        self, name: str, factory: Callable[[], Coroutine[Any, Any, object]], restart: Backoff | None = None
    ) -> asyncio.Task[None]:
        """Starts an endless task. After a crash it starts again as `restart` defines; without `restart`, its crash
        stops the process. A task that returns, or that is cancelled through the returned task, is finished."""
        task = tasks.start_awaited(name, self._run_with_restarts(name, factory, restart))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def start_oneshot(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Starts a task whose end is awaited when the process stops. Raises Refused if there are too many tasks, or if
        the process is stopping."""
        if self._stopping.is_set() or len(self._work) >= self._max_tasks:
            work.close()
            self.refused += 1
            why, when = f"{self._max_tasks} commands are already running", "in a moment"
            if self._stopping.is_set():
                why, when = "Quarterdeck is stopping", "after its restart"
            raise errors.Refused(f"The command was not run: {why}.", hint=f"Give the command again {when}.")
        task = tasks.start_awaited(name, work)
        self._work.add(task)
        task.add_done_callback(self._ended)
        return task

    def on_close(self, name: str, close: Callable[[], Awaitable[object]], deadline: float = 5.0) -> None:
        """Registers the function that closes a resource; call it as soon as the resource is open. `deadline`:
        seconds."""
        self._closers.append((name, close, deadline))

    def stop(self, reason: str = "requested") -> None:
        if not self._stopping.is_set():
            log.info("Quarterdeck is stopping.", reason=reason, working=len(self._work))
            self._stopping.set()

    def shorten_deadlines(self) -> None:
        """Limits each remaining step of closing to HURRY_SECONDS."""
        self._hurried.set()

    async def aclose(self) -> None:
        """Stops everything in order; may be called twice. A cancellation only shortens the deadlines."""
        closing = tasks.start_awaited("closing", self._close())
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

    async def _run_with_restarts(
        self, name: str, factory: Callable[[], Coroutine[Any, Any, object]], restart: Backoff | None
    ) -> None:
        loop, attempt = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            died = await self._run_once(name, factory)
            if died is None:
                return
            if restart is None:
                log.error("A task failed, so Quarterdeck stops.", task=name, exc_info=died)
                self._fatal = self._fatal or died
                self.stop(f"{name} died")
                return
            attempt = 1 if loop.time() - began >= restart.stable else attempt + 1
            pause = backoff_seconds(attempt, restart.base, restart.cap, self._rng)
            log.error(
                "A task failed. It will be started again.",
                task=name,
                attempt=attempt,
                pause=round(pause, 2),
                exc_info=died,
            )
            self._report_restart(name)
            await asyncio.sleep(pause)

    async def _run_once(self, name: str, factory: Callable[[], Coroutine[Any, Any, object]]) -> BaseException | None:
        """Runs a task until it ends, and returns the exception of a crash; None if it returned, or if it failed while
        it was being stopped. Raises CancelledError if it was stopped.

        Each run is an asyncio task of its own, because only the outer task is cancelled from outside. The count of
        cancellations of the inner task says nothing: up to Python 3.12, a TaskGroup whose child fails after its body
        has ended leaves that count at 1 (python/cpython#116720).
        """

        async def run() -> None:
            await factory()

        inner, stopping = tasks.start_awaited(name, run()), False
        while not inner.done():
            try:
                await asyncio.wait([inner])
            except asyncio.CancelledError:
                stopping = True
                inner.cancel()
        if inner.cancelled():
            if stopping:
                raise asyncio.CancelledError
            # Something that the task awaited was cancelled, which is a crash.
            return RuntimeError(f"{name} was cancelled from inside")
        died = inner.exception()
        if died is not None and stopping:
            log.error("A task failed while it was stopping.", task=name, exc_info=died)
            return None
        return died

    def _report_restart(self, name: str) -> None:
        if self.on_restart is not None:
            try:
                self.on_restart(name)
            except Exception:  # a failing counter must not prevent the restart
                log.exception("The restart of a task could not be counted.", task=name)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.report(task.get_name(), error)

    @contextlib.contextmanager
    def on_interrupt(self, callback: Callable[[], object]) -> Iterator[None]:
        """Inside this context, the first Ctrl-C calls `callback`; the next one stops the process."""
        self._on_interrupt.append(callback)
        try:
            yield
        finally:
            if callback in self._on_interrupt:
                self._on_interrupt.remove(callback)

    def _on_signal(self, number: signal.Signals) -> None:
        if number is signal.SIGINT and self._on_interrupt and not self._stopping.is_set():
            self._on_interrupt.pop()()
            return
        if self._stopping.is_set():
            log.warning("A second stop signal arrived, so all deadlines were shortened.", reason=number.name)
            self.shorten_deadlines()
        self.stop(number.name)

    async def _close(self) -> None:
        self._stopping.set()
        # Endless tasks continue while work ends, because work may need them.
        await self._cancel(
            await self._wait(self._work, self._drain_seconds), "A task did not end in time and was cancelled."
        )
        await self._cancel(self._background)
        self._background.clear()
        while self._closers:
            name, close, deadline = self._closers.pop()
            await self._close_one(name, close, deadline)

    async def _close_one(self, name: str, close: Callable[[], Awaitable[object]], deadline: float) -> None:
        async def closing() -> None:
            await close()

        task = tasks.start_awaited(f"close {name}", closing())
        if await self._wait({task}, deadline):
            await self._cancel({task}, "The closing of a part of Quarterdeck took too long and was cancelled.")
        elif task.cancelled() or task.exception() is not None:
            log.error(
                "A part of Quarterdeck could not be closed.",
                closing=name,
                exc_info=None if task.cancelled() else task.exception(),
            )

    async def _wait(self, waited: Iterable[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
        """Returns the tasks that are not done after `seconds`, or HURRY_SECONDS after shorten_deadlines()."""
        loop = asyncio.get_running_loop()
        hurry = tasks.start_awaited("hurry", self._hurried.wait())
        left, ends, hurried = {task for task in waited if not task.done()}, loop.time() + seconds, False
        while left and (remaining := ends - loop.time()) > 0:
            watched = left if hurried else {*left, hurry}
            await asyncio.wait(watched, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
            left = {task for task in left if not task.done()}
            if hurry.done() and not hurried:
                hurried, ends = True, min(ends, loop.time() + HURRY_SECONDS)
        hurry.cancel()
        return left

    async def _cancel(self, running: Iterable[asyncio.Task[Any]], why: str = "") -> None:
        left = {task for task in running if not task.done()}
        for task in left:
            if why:
                log.warning(why, task=task.get_name())
            task.cancel()
        for task in await self._wait(left, CANCEL_SECONDS):
            log.error("A task did not end after its cancellation and was left running.", task=task.get_name())


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """When a crashed task starts again: after at most `base` seconds, doubled with each crash up to `cap`. A task that
    has run for `stable` seconds begins with `base` again."""

    base: float = 0.5
    cap: float = 30.0
    stable: float = 60.0


def backoff_seconds(attempt: int, base: float, cap: float, rng: random.Random) -> float:
    """Returns the pause in seconds before attempt 1, 2, …: a random value up to base·2^(attempt-1) and `cap` (full
    jitter, so that many tasks that lost the same connection do not return at the same moment)."""
    return rng.uniform(0.0, min(cap, base * 2.0 ** min(attempt - 1, 60)))


async def in_turns(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Yields the items, and lets the other tasks run after a hundred of them or a moment, whichever comes first."""
    loop = asyncio.get_running_loop()
    number, began = 0, loop.time()
    async for item in items if isinstance(items, AsyncIterable) else _each(items):
        yield item
        number += 1
        if number % ITEMS_IN_TURN == 0 or loop.time() - began > SECONDS_IN_TURN:
            await asyncio.sleep(0)
            began = loop.time()


async def _each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
