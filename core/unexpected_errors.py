"""Converts unexpected exceptions into errors of core.errors, so that a bug in one part stops only the work of that
part.

An exception that is not a QuarterdeckError is a bug. The log gets its traceback and a reference; the requester gets an
error with the same reference. A bug that repeats has one reference: its traceback is logged once an hour, with the
number of times it was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import structlog

from core import errors

log = structlog.get_logger(__name__)
REPEAT_SECONDS = 3600.0  # until the traceback of the same bug is logged again
MAX_BUGS = 256
HINT = "Find this reference in Quarterdeck's log, and report the details to Quarterdeck's developers."


class BugReporter:
    """Logs bugs, gives each a reference, and translates them. `now`: a clock in seconds."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._bugs: dict[tuple[object, ...], _Bug] = {}

    def report(self, error: BaseException, doing: str, **fields: object) -> str:
        """Logs a bug that occurred while `doing` something, and returns its reference."""
        key = (doing, *sorted((name, str(value)) for name, value in fields.items()), type(error), *_raised_at(error))
        bug = self._bugs.pop(key, None) or _Bug()
        self._bugs[key] = bug
        if len(self._bugs) > MAX_BUGS:
            del self._bugs[next(iter(self._bugs))]
        bug.count += 1
        if bug.logged_at is None or self._now() - bug.logged_at >= REPEAT_SECONDS:
            bug.logged_at = self._now()
            log.error(
                "A part of Quarterdeck failed because of a bug.",
                action=doing,
                ref=bug.reference,
                times=bug.count,
                exc_info=error,
                **fields,
            )
        return bug.reference

    @contextlib.contextmanager
    def translated(self, engine: object, doing: str, *, sent: bool) -> Iterator[None]:
        """Raises InvalidResponse instead of an unexpected exception. `engine` and `doing` are for the message; `sent`:
        whether a request that changes something may have left. A cancellation of the running task passes, and so does
        what ends the process."""
        before = cancellations()
        try:
            yield
        except BaseException as error:
            if not is_unexpected(error, before):
                raise
            reference = self.report(error, doing, engine=str(engine))
            raise errors.InvalidResponse(
                f"{doing} on {engine} failed because of a bug in Quarterdeck, reference {reference}.",
                sent=sent,
                hint=HINT,
            ) from error

    @contextlib.contextmanager
    def logged(self, doing: str, **fields: object) -> Iterator[None]:
        """Logs an unexpected exception instead of raising it: for a step whose failure must not prevent the next."""
        before = cancellations()
        try:
            yield
        except BaseException as error:
            if not is_unexpected(error, before):
                raise
            self.report(error, doing, **fields)


def cancellations() -> int:
    """Returns how often the running task was cancelled so far."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def is_unexpected(error: BaseException, before: int) -> bool:
    """Returns whether `error` is a bug: no error of core.errors, no end of the process, and no cancellation of the
    running task. If the task has still been cancelled only `before` times, a CancelledError means that something it
    awaited was cancelled, which is a bug."""
    if isinstance(error, errors.QuarterdeckError | GeneratorExit | KeyboardInterrupt):
        return False
    return not isinstance(error, asyncio.CancelledError) or cancellations() <= before


class _Bug:
    def __init__(self) -> None:
        self.reference = secrets.token_hex(4)
        self.count = 0
        self.logged_at: float | None = None


def _raised_at(error: BaseException) -> tuple[str, int]:
    """Returns the file and the line that raised the exception."""
    found: TracebackType | None = error.__traceback__
    if found is None:
        return "", 0
    while found.tb_next is not None:
        found = found.tb_next
    return found.tb_frame.f_code.co_filename, found.tb_lineno
