"""Delays the work of a request until Slack has the acknowledgement, which Slack expects within three seconds.

The work may import modules, search a long text for secrets or otherwise block the event loop. So each receiver of
requests opens `acknowledge_first`, passes a payload to the Bolt library and sends the acknowledgement inside it.
Functions that the listeners pass to `run_afterwards` meanwhile are called afterwards, even if the acknowledgement could
not be sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import field

from core.lazy_dataclass import dataclass


@contextlib.contextmanager
def acknowledge_first() -> Iterator[None]:
    """Holds back what is passed to `run_afterwards` until the end of this context and of what its task writes without a
    pause.
    """
    held = _Held()
    token = _current.set(held)
    try:
        yield
    finally:
        _current.reset(token)
        held.open = False
        loop = asyncio.get_running_loop()
        for start in held.starts:
            loop.call_soon(start)


def run_afterwards(start: Callable[[], object]) -> None:
    """Calls this after the acknowledgement, or at once if that is sent."""
    held = _current.get()
    if held is None or not held.open:
        start()
    else:
        held.starts.append(start)


@dataclass(slots=True)
class _Held:
    """What waits for one acknowledgement. `open`: it is not sent yet."""

    starts: list[Callable[[], object]] = field(default_factory=list)
    open: bool = True


_current: contextvars.ContextVar[_Held | None] = contextvars.ContextVar("slack_acknowledgement", default=None)
