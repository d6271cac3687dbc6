"""Tasks with an interval wake up together, and as often as they ask for."""

from __future__ import annotations

import asyncio

import pytest

from core import shared_ticks


async def wakes(first: float, seconds: float, until: float) -> list[float]:
    loop, found = asyncio.get_running_loop(), []
    await asyncio.sleep(first)
    while loop.time() < until:
        await shared_ticks.sleep_to_tick(seconds)
        found.append(round(loop.time(), 6))
    return found


@pytest.mark.looptime
async def test_tasks_that_begin_at_different_times_wake_up_at_the_same_moments():
    every, other, rarer = await asyncio.gather(wakes(0.13, 1.0, 20), wakes(0.77, 1.0, 20), wakes(0.4, 5.0, 20))
    assert set(other) <= set(every) and set(rarer) <= set(every)
    assert every[1:] == [at + 1.0 for at in every[:-1]]
    assert rarer[1:] == [at + 5.0 for at in rarer[:-1]]


@pytest.mark.looptime
@pytest.mark.parametrize("first", [0.0, 0.1, 0.499, 0.5, 0.501, 0.999])
async def test_the_first_sleep_is_never_much_shorter_or_longer(first):
    (woken,) = await wakes(first, 1.0, 0.9999) if first < 0.9999 else [1.0]
    assert 0.5 <= woken - first <= 1.5


async def test_no_interval_is_no_sleep():
    async with asyncio.timeout(60):
        await shared_ticks.sleep_to_tick(0)
