"""Waits for the end of a process of containerd with a single request, however often and however long callers wait.

If a Wait request is cancelled before the process ends, containerd 1.7 and later log an error when the process ends. So
the request must continue even after the time that a process has to stop is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from core import errors, tasks


class ProcessEnd:
    """A context in which one request for the end of a process is under way. `request`: the Wait. `name`: the
    container's name, for the error."""

    def __init__(self, request: Coroutine[Any, Any, int], name: str) -> None:
        self._request = request
        self._name = name

    async def __aenter__(self) -> ProcessEnd:
        self._task = tasks.start_awaited("end_of_process", self._request)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait([self._task])

    async def wait(self, seconds: float) -> int:
        """Returns the exit code of the process. Raises TimedOut if it still runs after so many seconds, and what the
        request raises."""
        await asyncio.wait([self._task], timeout=seconds)
        if not self._task.done():
            raise errors.TimedOut(
                f"The process of {self._name} did not end within {seconds:.3g} s.",
                sent=False,
                hint="Check the load of the engine's host, and whether the process waits for a disk.",
            )
        return self._task.result()
