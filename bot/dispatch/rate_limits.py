"""Limits how many commands of each risk class one person may give in a period.

The store counts the commands of all replicas, with the clock of the store. While the store cannot be reached, each
process counts its own commands in memory, so that reads still work.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from core.model.actions import Risk
from core.store.records import RateLimitRule

MAX_BUCKETS = 4096


class RateLimits:
    """Holds the limit of each risk class, and counts commands in memory while the store cannot be reached."""

    def __init__(self, rates: Mapping[Risk, RateLimitRule], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rates = rates
        self._clock = clock
        self._free_at: OrderedDict[tuple[str, Risk], float] = OrderedDict()

    def spend_locally(self, who: str, risk: Risk) -> float:
        """Counts one command in memory. Returns the seconds to wait; 0 means that the command is admitted.

        The algorithm is the same as in the store (GCRA): a bucket of `burst`, refilled by `count` over each `period`. A
        refused command does not make the wait longer.
        """
        rate = self.rates[risk]
        step = rate.period / rate.count
        depth = step * (rate.burst or rate.count)
        now = self._clock()
        free_at = max(self._free_at.get((who, risk), now), now)
        wait = free_at + step - (now + depth)
        # Less than a millionth of a second is a rounding error, not a reason to refuse.
        if wait > 1e-6:
            return wait
        self._free_at[who, risk] = free_at + step
        self._free_at.move_to_end((who, risk))
        if len(self._free_at) > MAX_BUCKETS:
            self._free_at.popitem(last=False)
        return 0.0
