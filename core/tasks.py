"""Starts the tasks that no Supervisor runs, so that no failure of them is lost.

Each task has a name: its kind in one word, then what it works on. Whoever awaits a task of `start_awaited` receives
what it raises. What a task of `start` raises is reported as soon as it ends. A failure that its owner never looked at
is reported when Python removes the task from memory. Each report goes to the exception handler of the event loop:
while a Supervisor runs, that is a FailureReporter, which logs the name and the traceback, and counts the failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from core import errors

log = structlog.get_logger(__name__)
T = TypeVar("T")
UNNAMED = "unnamed"  # the kind of a task of a library, which has only a number


def start(name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Starts a task that nobody awaits, or whose owner only waits for its end. The caller holds the task and cancels
    it if need be."""
    task = start_awaited(name, work)
    task.add_done_callback(report)
    return task


def start_awaited(name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Starts a task whose owner awaits its result and handles what it raises."""
    return asyncio.get_running_loop().create_task(work, name=name)


def report(task: asyncio.Task[Any]) -> None:
    """Reports what a task raised, if it has failed."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "A task failed.", "exception": error, "task": task})


def kind(name: str) -> str:
    """Returns the first word of a task's name: what a metric may show."""
    first = name.partition(" ")[0]
    return UNNAMED if first.startswith("Task-") else first


class FailureReporter:
    """Receives what nobody handled in the event loop. `failed` is called with the name of a task that failed."""

    def __init__(self, failed: Callable[[str], object]) -> None:
        self._failed = failed

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        task, error = context.get("task") or context.get("future"), context.get("exception")
        if not isinstance(task, asyncio.Task) or error is None:
            loop.default_exception_handler(context)
        elif isinstance(error, errors.QuarterdeckError) and "task" not in context:
            # The task was given up, so nobody wanted its answer.
            log.debug(
                "A task failed, and no other task read its error.", task=task.get_name(), reason=error.full_message()
            )
        else:
            self.report(task.get_name(), error)

    def report(self, name: str, error: BaseException) -> None:
        """Logs the failure of a task, and counts it."""
        log.error("A task failed.", task=name, exc_info=error)
        try:
            self._failed(name)
        except Exception:  # a failing counter must not prevent what follows
            log.exception("The failure of a task could not be counted.", task=name)
