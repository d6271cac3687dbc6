"""What messages say about snoozes, silences and maintenance, and which reminders and announcements wait for nothing. On
a real store and a chat that is written down; time passes only by the test."""

from __future__ import annotations

import asyncio

import pytest

from bot.notify.incident_writer import stored_incidents
from bot.notify.silences import add_silence, list_silences_in_force
from core import errors
from core.model.alert_routes import Route, parse_matcher
from tests.unit.bot.notify.route_scene import EVENING, HOUR, fresh, maintain, now, of_project, over, pass_time
from tests.unit.bot.notify.test_incident_reporter import World, silencing


@pytest.fixture
async def world(valkey):
    made = World(valkey.url)
    made.seconds = EVENING - 10 * HOUR
    yield made
    await made.desk.store.aclose()


async def snoozed(world, *names, **more):
    for name in names:
        await world.happen(fresh(world, name, **more))
    for incident in await stored_incidents(world.desk.store):
        await add_silence(world.desk.store, silencing(incident.id, HOUR), now=world.seconds, reminds=True)


async def test_a_message_says_that_its_incident_is_snoozed_until_the_snooze_is_over(world):
    await snoozed(world, "web")
    await world.wait(2)
    text = world.chat.messages["C1", "1"]
    assert "Firing: web" in text and "Snoozed by Ada until 2026-06-02T13:00:00Z." in text
    calls = len(world.chat.calls)
    world.reporter = world.process()
    await world.wait(20)
    assert len(world.chat.calls) == calls, "nothing is edited twice, also not by another process"
    await world.happen(fresh(world, "web", at=now(world) + 1, count=7))
    await world.wait(2)
    text = world.chat.messages["C1", "1"]
    assert "7 times" in text and "Snoozed by Ada" in text
    await pass_time(world, HOUR)
    text = world.chat.messages["C1", "1"]
    assert "Firing: web" in text and "Snoozed" not in text
    assert len(world.chat.messages) == 1 and await world.desk.store.changed_incidents(10) == []


async def test_a_process_that_begins_to_post_removes_what_is_not_true_any_more(world):
    await snoozed(world, "web")
    await world.wait(2)
    await world.desk.store.remove_silences([each.id for each in await list_silences_in_force(world.desk.store, 0.0)])
    world.reporter = world.process()
    await world.wait(2)
    assert "Snoozed" not in world.chat.messages["C1", "1"]


async def test_an_end_during_a_snooze_is_shown_at_once_and_said_afterwards(world):
    await snoozed(world, "web")
    await world.happen(over(world, "web", at=now(world) + 1))
    await world.wait(2)
    text = world.chat.messages["C1", "1"]
    assert "Resolved: web" in text and "Snoozed" not in text
    assert len(world.chat.threads["C1", "1"]) == 1
    await pass_time(world, HOUR)
    assert "Resolved after" in world.chat.threads["C1", "1"][-1]
    assert await world.desk.store.changed_incidents(10) == []


async def test_maintenance_and_snoozes_show_in_a_message_that_many_share(world):
    await world.happen(*(of_project(world, f"web{number}", "shop") for number in range(6)))
    await world.wait(8)
    incidents = await stored_incidents(world.desk.store)
    await add_silence(world.desk.store, silencing(incidents[0].id, HOUR), now=world.seconds, reminds=True)
    await maintain(world, target=incidents[1].main.owner)
    await world.wait(8)
    (text,) = [each for each in world.chat.in_channel("C1") if "6 incidents" in each]
    assert text.count("firing, snoozed") == 1 and text.count("firing, in maintenance") == 1
    await pass_time(world, HOUR)
    (text,) = [each for each in world.chat.in_channel("C1") if "6 incidents" in each]
    assert "snoozed" not in text and "in maintenance" not in text


async def test_a_channel_that_does_not_answer_delays_neither_reminders_nor_announcements_elsewhere(world, monkeypatch):
    """Of two snoozed incidents, one is in a channel that hangs; so is one of the places of a maintenance window."""
    monkeypatch.setattr("bot.notify.channel_tasks.SLOW_SECONDS", 0.05)
    first = Route(matchers=(parse_matcher("name=a"),), to=("C0SLOW",), repeat=2 * HOUR)
    world.reporter = world.process("", first, Route(to=("C2",), repeat=2 * HOUR))
    await snoozed(world, "a", "b")
    await maintain(world, target="other", place="C0SLOW", begin=world.seconds + HOUR)
    post, gate = world.chat.post, asyncio.Event()

    async def slow(to, reply, thread="", **more):
        if to == "C0SLOW":
            await gate.wait()
        return await post(to, reply, thread, **more)

    world.chat.post = slow
    await pass_time(world, HOUR)
    assert world.chat.broadcasts == ["Still open after the snooze of Ada: b: crashed."]
    assert any("Maintenance of other began" in text for text in world.chat.in_channel("C2"))
    await pass_time(world, HOUR)
    await world.wait(40)
    assert world.chat.broadcasts[1:] == ["Still open after 2 h 0 min: b: crashed."]
    gate.set()
    await world.wait(40)
    assert any("Maintenance of other began" in text for text in world.chat.in_channel("C0SLOW"))
    assert sum("a: crashed" in text for text in world.chat.broadcasts) == 2


async def test_a_reminder_that_cannot_be_sent_is_sent_later(world):
    await snoozed(world, "web")
    await world.wait(2)
    world.chat.failing = errors.Undeliverable("Slack is away.", code="unreachable")
    await pass_time(world, HOUR)
    assert world.chat.broadcasts == []
    world.chat.failing = None
    await world.wait(40)
    assert len(world.chat.broadcasts) == 1 and await world.desk.store.silences() == {}
