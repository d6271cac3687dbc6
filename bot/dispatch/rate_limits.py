"""Limits how many commands one person may give in a time, per risk class.

The store counts for all replicas, on its own clock. While the store is away, buckets in memory count for this process
alone, so that reads still work."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from core.model.actions import Risk
from core.store.records import RateLimit

MAX_BUCKETS = 4096


class RateLimits:
    def __init__(self, rates: Mapping[Risk, RateLimit], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rates = rates
        self._clock = clock
        self._free_at: OrderedDict[tuple[str, Risk], float] = OrderedDict()

    def spend_locally(self, who: str, risk: Risk) -> float:
        """Takes one from this process' own bucket. Returns the seconds to wait; 0 means it was taken.

        The same algorithm (GCRA) as in the store: a bucket of `burst`, refilled by `count` over each `period`. A
        refused try does not make the wait longer.
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
