"""Decides when to log a message that may repeat, such as the reason why a connection cannot be opened.

A message is logged when its reason changes. While the reason stays the same, it is logged once an hour, with the number
of times that it happened. Numbers in a reason, such as seconds or a process id, do not count as a change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

REPEAT_SECONDS = 3600.0
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class RepeatedLog:
    """Counts the repetitions of one message. `now`: a clock in seconds that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._reason: str | None = None
        self._logged_at = 0.0
        self._times = 0

    def due(self, reason: str) -> int:
        """Counts one more occurrence with this reason. Returns how often it happened since it was last logged, this
        time included, if it has to be logged now; 0 if not."""
        plain = _NUMBER.sub("#", reason)
        changed, now = plain != self._reason, self._now()
        self._times = 1 if changed else self._times + 1
        if not changed and now - self._logged_at < REPEAT_SECONDS:
            return 0
        times, self._times = self._times, 0
        self._reason, self._logged_at = plain, now
        return times

    def ended(self) -> bool:
        """Forgets the reason, because the trouble is over. Returns whether there was any."""
        before, self._reason = self._reason, None
        return before is not None
