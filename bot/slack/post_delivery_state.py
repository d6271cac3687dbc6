"""Records whether a post may have reached Slack: it waits, it is being sent, or Slack refused it.

A post waits until its channel is free, and after a 429 for the time that Slack asks for. If it is cancelled while it
waits, it certainly was not sent to Slack. So the next process posts it without a search for an earlier copy.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

from core.lazy_dataclass import dataclass


@dataclass(slots=True)
class PostDeliveryState:
    """One post. `in_flight`: a request was sent and not refused. `lost`: the answer to an earlier request was lost."""

    in_flight: bool = False
    lost: bool = False

    @property
    def may_be_there(self) -> bool:
        return self.in_flight or self.lost


_current: contextvars.ContextVar[PostDeliveryState | None] = contextvars.ContextVar("post_delivery_state", default=None)


@contextlib.contextmanager
def track() -> Iterator[PostDeliveryState]:
    """Tracks the post that is sent inside this context."""
    progress = PostDeliveryState()
    token = _current.set(progress)
    try:
        yield progress
    finally:
        _current.reset(token)


def sending() -> None:
    """Notes that a request is sent now."""
    if (progress := _current.get()) is not None:
        progress.in_flight = True


def refused() -> None:
    """Notes that Slack has refused the request."""
    if (progress := _current.get()) is not None:
        progress.in_flight = False


def failed(*, lost: bool) -> None:
    """Notes that the request has failed. `lost`: Slack may have the message all the same."""
    if (progress := _current.get()) is not None:
        progress.in_flight = False
        progress.lost = progress.lost or lost
