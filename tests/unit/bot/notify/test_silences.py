"""What a silence covers and what it does not, on a real store and a chat that is written down."""

from __future__ import annotations

import pytest

from bot.notify.silences import add_silence
from core.model.alert_routes import parse_matcher
from core.model.alerts import AlertState
from tests.helpers.alerts import alert
from tests.unit.bot.notify.route_scene import EVENING, HOUR, fresh, now, over
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


async def test_the_end_of_a_silenced_rule_is_silenced_too(world):
    await add_silence(world.desk.store, silencing("web", HOUR, rule="crash"), now=world.seconds)
    await world.happen(fresh(world, "web"))
    await world.happen(over(world, "web", at=now(world) + 1))
    await world.wait(3)
    assert world.chat.messages == {}
