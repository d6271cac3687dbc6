"""Runs functions that block on files in a thread, so that a disk that does not respond does not stop the event loop.

The functions of one FileThread run one after the other, in the order of their calls. A function that does not return in
time continues in the thread, and its result is dropped. Calls that wait behind it fail at their own deadlines. The
thread does not keep the process alive.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

R = TypeVar("R")
MAX_WAITING = 1_000  # calls behind a function that hangs


class FileThread:
    """One thread for the files of one engine. It starts with the first call and ends with `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[futures.Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, function: Callable[[], R], seconds: float) -> R:
        """Returns what `function` returns, or raises what it raises. Raises TimeoutError after `seconds`, and
        at once if the thread was closed or too many calls wait."""
        if self._closed or self._calls.qsize() >= MAX_WAITING:
            raise TimeoutError
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(self._call(function))

    def close(self, last: Callable[[], Any] | None = None) -> None:
        """Ends the thread after the calls so far and after `last`. Does not wait for it."""
        if last is not None:
            self._call(last)
        self._closed = True
        self._calls.put(None)

    def _call(self, function: Callable[[], R]) -> futures.Future[R]:
        result: futures.Future[R] = futures.Future()
        self._calls.put((result, function))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        return result

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            result, function = call
            if not result.set_running_or_notify_cancel():
                continue
            try:
                value = function()
            except BaseException as error:
                result.set_exception(error)
            else:
                result.set_result(value)
            del call, result, function
