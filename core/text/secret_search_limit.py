"""Limits the time of a search for secrets, so that hostile text cannot occupy a thread for long.

Ordinary logs take about a quarter of a second a megabyte, the worst text that was found about four seconds. The time is
the CPU time of the searching thread: a busy machine does not make it shorter.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 2.0  # for one reply, or one document


class OutOfTimeError(Exception):
    """The time is used up. `lines`: how many lines of the text were searched before."""

    def __init__(self, lines: int) -> None:
        super().__init__(lines)
        self.lines = lines


class SecretSearchLimit:
    """Limits the time for one reply or one document. The time begins when this is created."""

    def __init__(self, seconds: float = SECONDS, *, clock: Callable[[], float] = time.thread_time) -> None:
        self._seconds, self._clock = seconds, clock
        self._ends = clock() + seconds

    @property
    def used_up(self) -> bool:
        return self._clock() > self._ends

    def check(self, lines: int) -> None:
        """Raises OutOfTimeError if the time is used up. `lines`: how many lines were searched."""
        if self._clock() > self._ends:
            raise OutOfTimeError(lines)

    def extension(self) -> SecretSearchLimit:
        """Returns half the time again, for a shorter part of the same text."""
        return SecretSearchLimit(self._seconds / 2, clock=self._clock)
