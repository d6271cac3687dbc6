"""Runs one task for each channel at a time, so that a channel that does not answer delays no other one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

SLOW_SECONDS = 2.0  # how long `wait` waits for a channel; a slower one goes on by itself


class ChannelTasks:
    """Holds the tasks that run."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> Collection[str]:
        """The channels whose task has not ended."""
        return self._tasks.keys()

    def start(self, channel: str, work: Coroutine[Any, Any, None]) -> None:
        """Starts the task of a channel that is not busy."""
        self._tasks[channel] = asyncio.get_running_loop().create_task(work, name=f"incidents {channel}")

    async def wait(self) -> None:
        """Waits for the tasks, and raises what one of them raised."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=SLOW_SECONDS)
        for channel, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[channel]
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
