"""What a silence covers and what it does not, on a real store and a chat that is written down."""

from __future__ import annotations

import msgspec
import pytest

from bot.notify.incident_writer import stored_incidents
from bot.notify.maintenance_windows import add_maintenance
from bot.notify.silences import add_silence
from core import errors
from core.model.alert_routes import Route, parse_matcher
from core.model.alert_setting_actions import AddMaintenance
from core.model.alerts import AlertState
from core.model.silences import Mute
from tests.helpers.alerts import alert
from tests.unit.bot.notify.route_scene import ADA, EVENING, HOUR, fresh, now, of_project, over, pass_time
from tests.unit.bot.notify.test_incident_reporter import World, silencing


@pytest.fixture
async def world(valkey):
    made = World(valkey.url)
    made.seconds = EVENING - 10 * HOUR
    yield made
    await made.desk.store.aclose()


@pytest.mark.parametrize("narrow", [{"rule": "crash-loop"}, {"matchers": (parse_matcher("rule=crash-loop"),)}])
async def test_a_silence_of_one_rule_does_not_hide_the_end_of_another(world, narrow):
    await world.happen(fresh(world, "web"))
    await add_silence(world.desk.store, silencing("web", HOUR, **narrow), now=world.seconds)
    await world.happen(over(world, "web", at=now(world) + 1))
    await world.wait(3)
    (told,) = world.chat.messages.values()
    assert "Resolved: web" in told


async def test_the_end_of_what_a_rule_and_another_one_reported_is_told_though_the_rule_is_silenced(world):
    web = fresh(world, "web")
    loop = {"subject": web.subject, "owner": "web", "fingerprint": "loop"}
    await add_silence(world.desk.store, silencing("web", HOUR, rule="crash"), now=world.seconds)
    await world.happen(web, alert("crash-loop", at=now(world) + 1, **loop))
    assert len(world.chat.messages) == 1, "the loop is not silenced"
    for at, each in enumerate(({"rule": "crash-loop", **loop}, {"rule": "crash", **loop, "fingerprint": "web"}), 2):
        await world.happen(alert(at=now(world) + at, state=AlertState.RESOLVED, **each))
    await world.wait(3)
    (told,) = world.chat.messages.values()
    assert "Resolved: web" in told


async def test_the_return_of_a_silenced_incident_is_told_though_another_one_edited_their_message(world):
    world.reporter = world.process("", Route(to=("C2",), group_by=("project",), mention=("S0ONCALL",)))
    await world.happen(of_project(world, "a", "shop"))
    await world.wait(6)
    await world.happen(of_project(world, "b", "shop"))
    await world.wait(6)
    await world.happen(of_project(world, "b", "shop", at=now(world) + 1, state=AlertState.RESOLVED))
    await world.wait(6)
    await add_silence(world.desk.store, silencing("shop/b", 60), now=world.seconds)
    await world.happen(of_project(world, "b", "shop", at=now(world) + 1))
    await world.happen(of_project(world, "a", "shop", at=now(world) + 1, count=7, text="exit code 7"))
    await world.wait(6)
    assert "exit code 7" in world.chat.messages["C2", "1"]
    entries, mentions = list(world.chat.threads["C2", "1"]), list(world.chat.mentions)
    await world.wait(60)
    (entry,) = world.chat.threads["C2", "1"][len(entries) :]
    assert "shop/b" in entry and world.chat.mentions == [*mentions, ("C2", "S0ONCALL")]
    assert await world.desk.store.changed_incidents(10) == []


async def test_the_end_of_a_silenced_rule_is_silenced_too(world):
    await add_silence(world.desk.store, silencing("web", HOUR, rule="crash"), now=world.seconds)
    await world.happen(fresh(world, "web"))
    await world.happen(over(world, "web", at=now(world) + 1))
    await world.wait(3)
    assert world.chat.messages == {}


# ── the end of a snooze ──────────────────────────────────────────────────────────────────────────────────────────────


async def snoozed(world, *routes, **more):
    """An incident that is snoozed for an hour."""
    world.reporter = world.process("", *routes)
    await world.happen(fresh(world, "web", **more))
    (incident,) = await stored_incidents(world.desk.store)
    await add_silence(world.desk.store, silencing(incident.id, HOUR), now=world.seconds, reminds=True)
    world.chat.mentions.clear()


async def test_the_end_of_a_snooze_waits_for_the_end_of_maintenance(world):
    await snoozed(world, Route(to=("C2",), mention=("S0ONCALL",)))
    window = AddMaintenance(by=ADA, target="web", place="C5", seconds=HOUR + 600)
    await add_maintenance(world.desk.store, window, now=world.seconds)
    await pass_time(world, HOUR)
    assert world.chat.broadcasts == [] and world.chat.mentions == []
    await pass_time(world, 700)
    assert world.chat.broadcasts == ["Still open after the snooze of Ada: web: crashed."]
    assert world.chat.mentions == [("C2", "S0ONCALL")] and await world.desk.store.silences() == {}


async def test_the_end_of_a_snooze_is_not_sent_to_somebody_who_is_muted(world):
    await snoozed(world, Route(to=("U0ADA", "C2")))
    await world.desk.store.put_mute(ADA.id, msgspec.json.encode(Mute(until=world.seconds + 2 * HOUR)))
    await pass_time(world, HOUR)
    assert len(world.chat.broadcasts) == 1
    assert not [each for place, entries in world.chat.threads.items() if place[0] == "D0ADA" for each in entries[1:]]
    assert await world.desk.store.silences() == {}


async def test_the_end_of_a_snooze_is_said_when_the_chat_answers_again_and_once_in_each_place(world):
    await snoozed(world, Route(to=("C1", "C2")))
    post, closed = world.chat.post, {"C2"}

    async def picky(to, reply, thread="", **more):
        if to in closed:
            raise errors.Undeliverable("Slack cannot be reached.", code="unreachable")
        return await post(to, reply, thread, **more)

    world.chat.post = picky
    await pass_time(world, HOUR)
    assert len(world.chat.broadcasts) == 1 and await world.desk.store.silences() != {}
    closed.clear()
    await pass_time(world, 60)
    assert len(world.chat.broadcasts) == 2 and await world.desk.store.silences() == {}
    await pass_time(world, 60)
    assert len(world.chat.broadcasts) == 2


async def test_the_end_of_a_snooze_is_given_up_after_an_hour(world):
    await snoozed(world, Route(to=("C1",)))
    world.chat.failing = errors.Undeliverable("The channel is archived.", code="is_archived")
    await pass_time(world, HOUR)
    assert await world.desk.store.silences() != {}
    await pass_time(world, HOUR)
    assert await world.desk.store.silences() == {}


async def test_the_end_of_a_snooze_of_a_deleted_message_is_a_message_of_its_own(world):
    await snoozed(world, Route(to=("C1",)))
    world.chat.delete("C1", "1")
    await pass_time(world, HOUR)
    assert world.chat.in_channel("C1") == ["Still open after the snooze of Ada: web: crashed."]
