"""Computes how much CPU time containers use, in percent of one CPU, from two readings of each."""

from __future__ import annotations

MIN_INTERVAL = 1.0  # seconds between two readings that are compared
MAX_AGE = 120.0  # seconds after which a reading is not compared any more


class CpuPercent:
    """Computes the CPU percent of containers from the CPU seconds of two readings."""

    def __init__(self) -> None:
        self._readings: dict[str, tuple[tuple[float, float], ...]] = {}

    def percent(self, key: str, at: float, seconds: float) -> float | None:
        """Stores the reading; returns None if there is no earlier one to compare it with."""
        before = self._readings.get(key, ())
        if before and (at - before[-1][0] > MAX_AGE or seconds < before[-1][1]):
            before = ()  # too long ago, or the container was started again
        if before and at - before[-1][0] < MIN_INTERVAL:
            # Too soon after the last reading: compare with the one before that, if there is one.
            then, used = before[0]
            if len(before) == 1:
                self._readings[key] = (before[0], (at, seconds))
        elif before:
            then, used = before[-1]
            self._readings[key] = (before[-1], (at, seconds))
        else:
            self._readings[key] = ((at, seconds),)
            return None
        return max(0.0, (seconds - used) / (at - then) * 100) if at > then else None

    def forget_old(self, now: float) -> None:
        """Drops the readings that are too old to be compared."""
        self._readings = {key: pair for key, pair in self._readings.items() if now - pair[-1][0] <= MAX_AGE}
