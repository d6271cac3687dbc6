"""The bucket of one process alone, against what it promises and against the store's own counting."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dispatch import rate_limits
from core.model.actions import Risk
from core.store.client import Store
from core.store.records import RateLimitRule


class Clock:
    def __init__(self):
        self.at = 1_000.0

    def __call__(self):
        return self.at


def bucket(rate):
    clock = Clock()
    return rate_limits.RateLimits(dict.fromkeys(Risk, rate), clock=clock), clock


def test_a_full_bucket_then_one_each_step():
    mine, clock = bucket(RateLimitRule(count=6, period=60.0))
    assert [mine.spend_locally("ann", Risk.CHANGE) for _ in range(6)] == [0.0] * 6
    assert mine.spend_locally("ann", Risk.CHANGE) == pytest.approx(10.0)
    clock.at += 9
    assert mine.spend_locally("ann", Risk.CHANGE) == pytest.approx(1.0)
    clock.at += 1
    assert mine.spend_locally("ann", Risk.CHANGE) == 0
    assert mine.spend_locally("ann", Risk.CHANGE) > 0
    clock.at += 3_600
    assert [mine.spend_locally("ann", Risk.CHANGE) > 0 for _ in range(7)] == [False] * 6 + [True]


def test_a_burst_is_smaller_than_the_count():
    mine, clock = bucket(RateLimitRule(count=60, period=60.0, burst=2))
    assert [mine.spend_locally("ann", Risk.READ) > 0 for _ in range(3)] == [False, False, True]
    clock.at += 1
    assert mine.spend_locally("ann", Risk.READ) == 0


def test_one_person_does_not_spend_anothers_nor_one_risk_the_others():
    mine, _ = bucket(RateLimitRule(count=1, period=60.0))
    for who, risk in itertools.product(("ann", "bob"), Risk):
        assert mine.spend_locally(who, risk) == 0
        assert mine.spend_locally(who, risk) > 0


@given(st.integers(1, 20), st.floats(0.5, 600), st.lists(st.floats(0, 60), max_size=60))
def test_never_more_than_the_rate_and_whoever_waits_as_told_is_let_in(count, period, pauses):
    mine, clock = bucket(RateLimitRule(count=count, period=period))
    let_in = []
    for pause in pauses:
        clock.at += pause
        wait = mine.spend_locally("ann", Risk.CHANGE)
        if wait:
            assert 0 < wait <= period + 1e-6
            clock.at += wait
            assert mine.spend_locally("ann", Risk.CHANGE) == 0
        let_in.append(clock.at)
    for at in let_in:
        # A full bucket and what flows in during one period, at the very most.
        assert sum(at <= other < at + period * 0.999 for other in let_in) <= 2 * count


def test_who_keeps_trying_waits_no_longer():
    mine, clock = bucket(RateLimitRule(count=1, period=10.0))
    mine.spend_locally("ann", Risk.CHANGE)
    for _ in range(9):
        clock.at += 1
        assert mine.spend_locally("ann", Risk.CHANGE) > 0
    clock.at += 1
    assert mine.spend_locally("ann", Risk.CHANGE) == 0


def test_memory_is_bounded_and_forgets_whom_it_heard_of_longest_ago(monkeypatch):
    monkeypatch.setattr(rate_limits, "MAX_BUCKETS", 3)
    mine, _ = bucket(RateLimitRule(count=1, period=60.0))
    for who in ("a", "b", "c", "d"):
        assert mine.spend_locally(who, Risk.READ) == 0
    assert [mine.spend_locally(who, Risk.READ) > 0 for who in ("d", "c", "b")] == [True] * 3
    assert mine.spend_locally("a", Risk.READ) == 0
    assert len(mine._free_at) == 3


@pytest.mark.parametrize(
    "rate", [RateLimitRule(count=3, period=3_600.0), RateLimitRule(count=50, period=3_600.0, burst=2)]
)
async def test_the_store_counts_alike(valkey, rate):
    mine, _ = bucket(rate)
    store = Store.open(valkey.url)
    try:
        for number in range(5):
            there = await store.enter(id=str(number), who="ann", risk="read", rate=rate, record=b"", replica="r")
            here = mine.spend_locally("ann", Risk.READ)
            assert (there.retry_after > 0) == (here > 0)
            assert there.retry_after == pytest.approx(here, abs=30)
    finally:
        await store.aclose()
