"""The summary of quiet hours is one message that names everything and calls people once, wherever a try of it ends."""

from __future__ import annotations

import pytest

from core import errors
from core.model.alert_routes import Route
from tests.unit.bot.notify.route_scene import EVENING, HOUR, NIGHT, fresh, now, over
from tests.unit.bot.notify.test_incident_reporter import World

ROUTE = Route(to=("C2",), quiet=NIGHT, mention=("S0ONCALL",))
MORNING = EVENING + 9 * HOUR + 1
CALLED_ONCE = [("C2", "S0ONCALL")]


@pytest.fixture
async def world(valkey):
    made = World(valkey.url)
    made.reporter = made.process("", ROUTE)
    made.seconds = EVENING + HOUR
    await made.happen(fresh(made, "a"), fresh(made, "b"), fresh(made, "c"))
    made.seconds = MORNING
    yield made
    await made.desk.store.aclose()


def fail_saves_after(world, monkeypatch, number: int) -> None:
    """Lets the store take only so many records of messages."""
    real, left = world.desk.store._put_incident, [number]

    async def put(key, before, value, mark, message=None):
        if before != value and mark in ("told", "kept"):
            if not left[0]:
                raise errors.StoreError("The store is full.")
            left[0] -= 1
        return await real(key, before, value, mark, message)

    monkeypatch.setattr(world.desk.store, "_put_incident", put)


@pytest.mark.parametrize("new_process", [False, True])
@pytest.mark.parametrize("saved", [0, 1, 2])
async def test_a_summary_whose_records_failed_halfway_stays_one_message(world, monkeypatch, saved, new_process):
    with monkeypatch.context() as patch:
        fail_saves_after(world, patch, saved)
        with pytest.raises(errors.StoreError):
            await world.reporter.flush()
    if new_process:
        world.reporter = world.process("", ROUTE)
    await world.happen(over(world, "b"))
    await world.wait(8)
    (summary,) = world.chat.messages.values()
    assert "3 incidents in the quiet hours 22:00 to 07:00 (UTC), 2 still open" in summary
    assert all(f"{name} " in summary for name in "abc")
    assert world.chat.mentions == CALLED_ONCE
    assert all("Firing" not in entry for entries in world.chat.threads.values() for entry in entries)
    assert await world.desk.store.changed_incidents(10) == []
    for name in "ac":
        await world.happen(over(world, name, at=now(world) + 1))
        await world.wait(8)
    (summary,) = world.chat.messages.values()
    assert "Resolved: 3 incidents in the quiet hours" in summary


async def test_a_process_that_was_killed_after_the_post_leaves_no_second_summary(world):
    world.chat.lost = [errors.Undeliverable("The process is gone.", code="gone")]
    await world.reporter.flush()
    world.reporter = world.process("", ROUTE)
    await world.happen(over(world, "a"))
    await world.wait(8)
    (summary,) = world.chat.messages.values()
    assert "3 incidents in the quiet hours" in summary and "2 still open" in summary
    assert world.chat.mentions == CALLED_ONCE


async def test_what_comes_after_the_summary_joins_it_and_calls_people(world):
    await world.reporter.flush()
    late = {"at": int((EVENING + 2 * HOUR) * 1e9), "since_ns": int((EVENING + 2 * HOUR) * 1e9)}
    await world.happen(fresh(world, "d", **late), fresh(world, "e", **late))
    await world.wait(8)
    (((channel, ts), summary),) = world.chat.messages.items()
    assert "5 incidents in the quiet hours" in summary
    assert [entry for entry in world.chat.threads[channel, ts] if "Firing: d" in entry and "Firing: e" in entry]
    assert world.chat.mentions == CALLED_ONCE * 2


async def test_a_summary_that_was_deleted_before_it_was_recorded_is_posted_anew(world):
    world.chat.lost = [errors.Undeliverable("The process is gone.", code="gone")]
    await world.reporter.flush()
    world.chat.delete("C2", "1")
    world.reporter = world.process("", ROUTE)
    await world.wait(8)
    (summary,) = world.chat.messages.values()
    assert "3 incidents in the quiet hours" in summary
    assert await world.desk.store.changed_incidents(10) == []


async def test_the_next_night_has_a_summary_of_its_own(world):
    await world.reporter.flush()
    world.seconds = EVENING + 25 * HOUR
    await world.happen(fresh(world, "d"), fresh(world, "e"))
    world.seconds = MORNING + 24 * HOUR
    await world.wait(8)
    assert [text.partition(",")[0] for text in world.chat.messages.values()][1].startswith("Firing: 2 incidents in the")
