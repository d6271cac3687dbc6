"""Runs the tasks of each channel one after another, and the channels in parallel. So a channel that does not answer
delays only itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Collection, Coroutine, Iterable
from typing import Any, TypeVar

from core import tasks

R = TypeVar("R")

SLOW_SECONDS = 2.0  # how long `wait` waits for a task; a slower one goes on by itself


class ChannelTasks:
    """Holds the tasks that run, by name: that of a channel, or what the task does there."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> Collection[str]:
        """The names of the tasks that have not ended."""
        return self._tasks.keys()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Starts a task whose name is not busy."""
        self._tasks[name] = tasks.start_awaited(f"incidents {name}", work)

    async def wait(self) -> None:
        """Waits for the tasks, also for those that they start, and raises what one of them raised."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SLOW_SECONDS):
                while running := [task for task in self._tasks.values() if not task.done()]:
                    await asyncio.wait(running)
        for name, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[name]
                if not task.cancelled():
                    task.result()

    def cancel(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def aclose(self) -> None:
        """Cancels the tasks, and waits for their end."""
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())


async def all_at_once(work: Iterable[Awaitable[R]]) -> list[R]:
    """Does all of it at the same time and returns the results in order. If something fails, the rest goes on, and the
    first error is raised at the end."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
