"""Continues with the next messages of a channel after the chat refused one, and reports the first failure at the end.

After a few failures it stops, because then the channel or the chat fails, not a single message. If the chat did not
answer or limits the rate, it stops at once, so that the messages stay in order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from core import errors

MAX_FAILURES = 3
PASSING = frozenset({"overflow", "ratelimited", "unreachable"})  # of the chat, whatever the message is


class DeliveryFailures:
    """Collects the failures of one round."""

    def __init__(self) -> None:
        self._found: list[errors.DeliveryError] = []

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Collects a DeliveryError; raises it if there were too many."""
        try:
            yield
        except errors.DeliveryError as error:
            self._found.append(error)
            if len(self._found) >= MAX_FAILURES or _passes(error):
                raise self._found[0] from None

    def raise_first(self) -> None:
        if self._found:
            raise self._found[0]


def _passes(error: errors.DeliveryError) -> bool:
    """Whether the chat failed, whatever the message is, or the message may be there: then the next ones come after
    it."""
    return isinstance(error, errors.Undeliverable) and (error.code in PASSING or error.maybe_sent)
