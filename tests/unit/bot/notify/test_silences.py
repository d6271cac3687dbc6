"""What a silence covers and what it does not, on a real store and a chat that is written down."""

from __future__ import annotations

import pytest

from bot.notify.silences import add_silence
from core.model.alert_routes import Route, parse_matcher
from core.model.alerts import AlertState
from tests.helpers.alerts import alert
from tests.unit.bot.notify.route_scene import EVENING, HOUR, fresh, now, of_project, over
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
