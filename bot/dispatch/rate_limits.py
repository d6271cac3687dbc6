"""How much one person may ask for in a time, per risk class. The store counts (one script, its own clock, all
replicas); while the store is away a bucket in memory counts for this process alone, so reads still work at 3 a.m."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from core.model.actions import Risk
from core.store.records import Rate

REMEMBERED = 4096


class Limits:
    def __init__(self, rates: Mapping[Risk, Rate], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rates = rates
        self._clock = clock
        self._free_at: OrderedDict[tuple[str, Risk], float] = OrderedDict()

    def spend_here(self, who: str, risk: Risk) -> float:
        """Takes one from this process' own bucket; returns the seconds to wait, 0 when it was there to take.

        The same generic cell rate as the store's: a bucket of `burst`, refilled by `count` over each `period`. A
        refused try does not move the horizon.
        """
        rate = self.rates[risk]
        step = rate.period / rate.count
        depth = step * (rate.burst or rate.count)
        now = self._clock()
        free_at = max(self._free_at.get((who, risk), now), now)
        wait = free_at + step - (now + depth)
        # A millionth of a second is float dust, not a reason to refuse the last of the bucket.
        if wait > 1e-6:
            return wait
        self._free_at[who, risk] = free_at + step
        self._free_at.move_to_end((who, risk))
        if len(self._free_at) > REMEMBERED:
            self._free_at.popitem(last=False)
        return 0.0
