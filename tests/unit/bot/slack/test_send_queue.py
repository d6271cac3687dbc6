"""Who goes next: the most urgent, then whoever came first; on fake loop time."""

from __future__ import annotations

import asyncio

import pytest

from bot.slack import outbox as outbox_module
from bot.slack.send_queue import Priority, PriorityLock
from core import errors
from core.metrics import Metrics
from tests.unit.bot.slack.scripted import FakeSlackApi, outbox, outgoing

pytestmark = pytest.mark.looptime


async def test_the_most_urgent_goes_next_and_equal_ones_in_the_order_of_their_arrival() -> None:
    lock, order = PriorityLock(), []

    async def one(name: str, priority: Priority) -> None:
        async with lock.turn(priority):
            order.append(name)
            await asyncio.sleep(1)

    wanted = [("first", Priority.INFO), ("i1", Priority.INFO), ("r1", Priority.REPLY), ("c1", Priority.CRITICAL)]
    wanted += [("i2", Priority.INFO), ("r2", Priority.REPLY), ("c2", Priority.CRITICAL)]
    tasks = []
    for name, priority in wanted:
        tasks.append(asyncio.create_task(one(name, priority)))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["first", "c1", "c2", "r1", "r2", "i1", "i2"]


@pytest.mark.parametrize("at_the_handover", [False, True])
async def test_one_that_is_cancelled_lets_the_next_one_go(at_the_handover: bool) -> None:
    lock = PriorityLock()
    done = []

    async def one(name: str) -> None:
        async with lock.turn(Priority.REPLY):
            done.append(name)

    async with lock.turn(Priority.REPLY):
        waiting = [asyncio.create_task(one(name)) for name in ("a", "b")]
        await asyncio.sleep(0)
        if not at_the_handover:
            waiting[0].cancel()
    if at_the_handover:
        waiting[0].cancel()  # it was given the lock, and has not run since
    await asyncio.gather(*waiting, return_exceptions=True)
    assert done == ["b"]
    async with asyncio.timeout(1), lock.turn(Priority.INFO):
        done.append("free")
    assert done == ["b", "free"]


async def test_an_urgent_message_goes_before_those_that_wait_in_its_channel() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    posts = [
        asyncio.create_task(box.post("C1", outgoing(f"info {number}"), priority=Priority.INFO)) for number in range(4)
    ]
    await asyncio.sleep(0.1)
    posts.append(asyncio.create_task(box.post("C1", outgoing("critical"), priority=Priority.CRITICAL)))
    await asyncio.gather(*posts)
    # One had its turn already when the urgent one came.
    assert [one.text for one in calls.said] == ["info 0", "info 1", "critical", "info 2", "info 3"]


async def test_what_is_least_urgent_is_refused_first_and_the_age_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_WAITING", 8)
    calls, counts = FakeSlackApi(), Metrics()
    box = outbox(calls, metrics=counts)
    calls.slow = {"post": 100.0}
    posts = [asyncio.create_task(box.post("C1", outgoing(str(number)))) for number in range(6)]
    await asyncio.sleep(50)
    assert counts.slack_outbox_oldest_seconds._value.get() == 0  # a function answers
    assert box._oldest_seconds() == 50
    with pytest.raises(errors.Undeliverable):
        await box.post("C1", outgoing("info"), priority=Priority.INFO)
    posts += [asyncio.create_task(box.post("C1", outgoing("reply"))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(errors.Undeliverable):
        await box.post("C1", outgoing("reply"))
    posts.append(asyncio.create_task(box.post("C1", outgoing("critical"), priority=Priority.CRITICAL)))
    await asyncio.sleep(0)
    assert counts.slack_overflow_total.labels("info")._value.get() == 1
    assert counts.slack_overflow_total.labels("reply")._value.get() == 1
    calls.slow = {}
    await asyncio.gather(*posts)
    assert ("post", "critical") in calls.texts()
    assert box._oldest_seconds() == 0
