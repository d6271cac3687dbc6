"""What holds incidents back, and what reminds of them: maintenance, silences, snoozes and causes, on a real store and a
chat that is written down. Time passes only by the test."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from bot.notify import inhibition
from bot.notify.incident_writer import stored_incidents
from bot.notify.maintenance_windows import end_maintenance, list_maintenance_windows
from bot.notify.silences import add_silence, list_silences_in_force
from core import errors
from core.model.alert_routes import Route, parse_matcher
from core.model.alerts import AlertState, Severity
from core.model.daily_hours import DailyHours
from core.model.incidents import acknowledge
from core.model.refs import EngineRef, Kind, Ref
from core.model.silences import Mute
from core.model.swarm_status import NodeState, SwarmState
from tests.helpers.alerts import alert
from tests.unit.bot.notify.route_scene import (
    ADA,
    EVENING,
    HIGH,
    HOUR,
    fresh,
    maintain,
    now,
    of_project,
    over,
    pass_time,
)
from tests.unit.bot.notify.test_incident_reporter import World, silencing


@pytest.fixture
async def world(valkey):
    made = World(valkey.url)
    made.seconds = EVENING - 10 * HOUR
    yield made
    await made.desk.store.aclose()


# ── maintenance ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_maintenance_is_announced_holds_back_its_targets_and_posts_what_is_still_wrong(world):
    window = await maintain(world, begin=world.seconds + 60, reason="new disks")
    await world.wait(30)
    assert world.chat.messages == {}
    await world.wait(31)
    assert {channel for channel, _ in world.chat.messages} == {"C1", "C5"}
    assert all("Maintenance of shop/* began" in text and "new disks" in text for text in world.chat.messages.values())
    world.chat.messages.clear()
    await world.happen(of_project(world, "web", "shop"), of_project(world, "db", "shop"), fresh(world, "other"))
    await world.wait(60)
    await world.happen(of_project(world, "db", "shop", at=now(world), state=AlertState.RESOLVED))
    await world.wait(60)
    assert [text.split(":")[1].strip() for text in world.chat.messages.values()] == ["other"]
    await pass_time(world, HOUR)
    told = world.chat.in_channel("C1")
    assert any("Maintenance of shop/* is over. 1 incident about it is still open." in text for text in told)
    assert any("Firing: shop/web" in text for text in told)
    assert not any("shop/db" in text for text in told)
    assert await world.desk.store.maintenance() == {}
    with pytest.raises(errors.NotFound):
        await end_maintenance(world.desk.store, window.id)


async def test_maintenance_is_announced_where_the_route_for_everything_posts(world):
    world.reporter = world.process("", Route(matchers=HIGH, to=("C9",)), Route(to=("C2", "U0ADA")))
    await maintain(world, place="")
    await world.wait(2)
    assert [channel for channel, _ in world.chat.messages] == ["C2"]


async def test_a_restart_announces_nothing_twice(world):
    await maintain(world)
    await world.wait(2)
    said = len(world.chat.messages)
    world.reporter = world.process()
    await world.wait(5)
    assert len(world.chat.messages) == said == 1  # the reply to the command told the other channel


async def test_maintenance_that_comes_back_is_announced_each_time(world):
    at_ten = DailyHours(begin=22 * 60, seconds=HOUR)
    await maintain(world, hours=at_ten)
    world.seconds = EVENING + 10
    for day in (1, 2):
        await world.happen(of_project(world, f"web{day}", "shop"))
        await world.wait(3)
        assert len(world.chat.in_channel("C1")) == 2 * day - 1 + (day - 1)
        await pass_time(world, HOUR)
        assert sum("is over" in text for text in world.chat.in_channel("C1")) == day
        world.seconds = EVENING + day * 24 * HOUR + 10
    (window,) = await list_maintenance_windows(world.desk.store, world.seconds)
    assert window.hours == at_ten


async def test_maintenance_that_is_ended_early_is_over_at_once(world):
    window = await maintain(world)
    await world.happen(of_project(world, "web", "shop"))
    await world.wait(3)
    await end_maintenance(world.desk.store, window.id, now=world.seconds)
    await world.wait(3)
    assert any("Firing: shop/web" in text for text in world.chat.in_channel("C1"))
    assert await world.desk.store.maintenance() == {}


async def test_maintenance_of_a_host_covers_everything_on_it(world):
    await maintain(world, target="", host="h1")
    elsewhere = Ref(engine=EngineRef(host="h2", kind="docker"), kind=Kind.CONTAINER, id="3" * 64, name="far")
    await world.happen(fresh(world, "near"), fresh(world, "far", subject=elsewhere))
    await world.wait(3)
    assert any("Firing: far" in text for text in world.chat.in_channel("C1"))
    assert not any("near" in text for text in world.chat.in_channel("C1"))


async def test_a_channel_that_is_closed_does_not_stop_maintenance(world):
    world.chat.failing = errors.Undeliverable("The channel is archived.", code="is_archived")
    await maintain(world)
    await world.happen(of_project(world, "web", "shop"))
    await world.wait(3)
    world.chat.failing = None
    await world.wait(3)
    assert world.chat.messages == {}


# ── silences, snoozes, reminders ─────────────────────────────────────────────────────────────────────────────────────


async def test_what_began_and_ended_while_it_was_silenced_is_never_posted(world):
    await add_silence(world.desk.store, silencing("*", HOUR), now=world.seconds)
    await world.happen(fresh(world, "web"))
    await world.happen(over(world, "web", at=now(world) + 1))
    await world.wait(20)
    await pass_time(world, HOUR)
    assert world.chat.messages == {}
    assert await world.desk.store.changed_incidents(10) == []


async def test_a_silence_may_match_by_any_field(world):
    severe = (parse_matcher("severity=high"), parse_matcher("host!=h2"))
    await add_silence(world.desk.store, silencing("*", HOUR, matchers=severe), now=world.seconds)
    await world.happen(fresh(world, "web", severity=Severity.HIGH), fresh(world, "db"))
    await world.wait(3)
    assert [text.split(":")[1].strip() for text in world.chat.messages.values()] == ["db"]


async def test_a_silence_until_resolved_ends_with_the_incident(world):
    await world.happen(fresh(world, "web"))
    (incident,) = await stored_incidents(world.desk.store)
    silence = silencing(incident.id, 30 * 24 * HOUR, until_resolved=True)
    await add_silence(world.desk.store, silence, now=world.seconds)
    await world.happen(fresh(world, "web", at=now(world) + 1, count=2))
    await world.wait(40)
    assert len(await list_silences_in_force(world.desk.store, world.seconds)) == 1
    text = world.chat.messages["C1", "1"]
    assert "2 times" in text and "Silenced by Ada until it is resolved." in text
    assert len(world.chat.threads["C1", "1"]) == 1
    await world.happen(over(world, "web", at=now(world)))
    await world.wait(60)
    assert await list_silences_in_force(world.desk.store, world.seconds) == ()
    assert "Resolved: web" in world.chat.messages["C1", "1"]


async def test_a_snooze_ends_with_a_reminder_if_the_incident_is_still_open(world):
    world.reporter = world.process("", Route(to=("C2",), mention=("S0ONCALL",)))
    await world.happen(fresh(world, "web"))
    (incident,) = await stored_incidents(world.desk.store)
    await add_silence(world.desk.store, silencing(incident.id, HOUR), now=world.seconds, reminds=True)
    await world.wait(30)
    assert world.chat.broadcasts == []
    await pass_time(world, HOUR)
    assert world.chat.broadcasts == ["Still open after the snooze of Ada: web: crashed."]
    assert world.chat.mentions == [("C2", "S0ONCALL")] * 2
    await pass_time(world, HOUR)
    assert len(world.chat.broadcasts) == 1 and await world.desk.store.silences() == {}


async def test_a_snooze_calls_nobody_who_is_muted_by_then(world):
    world.reporter = world.process("", Route(to=("C2",), mention=("U0ADA", "U0BOB")))
    await world.happen(fresh(world, "web"))
    (incident,) = await stored_incidents(world.desk.store)
    await add_silence(world.desk.store, silencing(incident.id, HOUR), now=world.seconds, reminds=True)
    await world.desk.store.put_mute(ADA.id, msgspec.json.encode(Mute(until=world.seconds + 2 * HOUR)))
    world.chat.mentions.clear()
    await pass_time(world, HOUR)
    assert world.chat.mentions == [("C2", "U0BOB")]


async def test_an_announcement_that_is_not_sent_delays_no_incident(world, monkeypatch):
    monkeypatch.setattr("bot.notify.channel_tasks.SLOW_SECONDS", 0.05)
    post, sent = world.chat.post, asyncio.Event()

    async def slow(to, reply, thread="", **more):
        if to == "C5":
            await sent.wait()
        return await post(to, reply, thread, **more)

    world.chat.post = slow
    await maintain(world, target="shop", begin=world.seconds + 1)
    await world.wait(2)
    await world.happen(fresh(world, "web"))
    await world.wait(3)
    assert len(world.chat.in_channel("C1")) == 2, "the incident, and the announcement in this channel"
    sent.set()
    await world.wait(2)
    assert len(world.chat.in_channel("C5")) == 1


async def test_a_snooze_of_what_is_over_by_then_reminds_nobody(world):
    await world.happen(fresh(world, "web"))
    (incident,) = await stored_incidents(world.desk.store)
    await add_silence(world.desk.store, silencing(incident.id, HOUR), now=world.seconds, reminds=True)
    await world.happen(over(world, "web", at=now(world) + 1))
    await pass_time(world, HOUR)
    assert world.chat.broadcasts == [] and "Resolved: web" in world.chat.messages["C1", "1"]


async def test_an_open_incident_is_repeated_until_somebody_takes_it(world):
    world.reporter = world.process("", Route(to=("C2",), repeat=4 * HOUR, mention=("S0ONCALL",)))
    world.seconds = EVENING - 20 * HOUR
    await world.happen(fresh(world, "web"))
    await pass_time(world, 4 * HOUR)
    assert world.chat.broadcasts == ["Still open after 4 h 0 min: web: crashed."]
    world.reporter = world.process("", Route(to=("C2",), repeat=4 * HOUR, mention=("S0ONCALL",)))
    await pass_time(world, 2 * HOUR)
    assert len(world.chat.broadcasts) == 1
    await pass_time(world, 3 * HOUR)
    assert len(world.chat.broadcasts) == 2 and len(world.chat.mentions) == 3
    (incident,) = await stored_incidents(world.desk.store)
    taken = msgspec.json.encode(acknowledge(incident, ADA.id, ADA.name))
    stored = await world.desk.store.incident(incident.key)
    assert await world.desk.store.change_incident(incident.key, stored, taken)
    await pass_time(world, 9 * HOUR)
    assert len(world.chat.broadcasts) == 2


# ── consequences ─────────────────────────────────────────────────────────────────────────────────────────────────────

ENGINE = EngineRef(host="h1", kind="docker")


def engine_down(world, **more):
    subject = Ref(engine=ENGINE, kind=Kind.ENGINE, id=str(ENGINE), name=str(ENGINE))
    settings = {"topic": "engine", "subject": subject, "owner": str(ENGINE), "severity": Severity.HIGH}
    return alert("engine-down", **{"at": now(world), "since_ns": now(world), **settings, **more})


async def test_an_engine_that_is_down_explains_what_runs_on_it(world):
    await world.happen(engine_down(world))
    await world.happen(*(fresh(world, f"web{number}") for number in range(20)))
    await world.wait(20)
    (told,) = world.chat.messages.values()
    assert "Firing: docker/h1" in told
    for number in range(1, 20):
        await world.happen(over(world, f"web{number}", at=now(world)))
    await world.wait(2)
    await world.happen(engine_down(world, at=now(world), state=AlertState.RESOLVED))
    await world.wait(20)
    assert sorted(text.split(":")[1].strip() for text in world.chat.messages.values()) == ["docker/h1", "web0"]


async def test_a_stopped_update_explains_the_tasks_of_its_service_and_no_others(world):
    swarm = EngineRef(host="c1", kind="swarm")

    def about(kind, owner, rule, topic):
        subject = Ref(engine=swarm, kind=kind, id=f"{owner}-{kind}", name=owner)
        settings = {"topic": topic, "subject": subject, "owner": owner, "fingerprint": f"{rule} {owner}"}
        return alert(rule, **{"at": now(world), "since_ns": now(world), **settings})

    await world.happen(about(Kind.SERVICE, "shop_web", "update-stopped", "rollout"))
    await world.happen(
        about(Kind.TASK, "shop_web", "task-failed", "end"), about(Kind.TASK, "shop_db", "task-failed", "end")
    )
    await world.wait(20)
    assert sorted(text.split(":")[1].strip() for text in world.chat.messages.values()) == ["shop_db", "shop_web"]


async def test_a_node_that_is_down_explains_its_tasks_and_their_containers_and_no_others(world):
    swarm, node = (
        EngineRef(host="c1", kind="swarm"),
        Ref(engine=EngineRef(host="c1", kind="swarm"), kind=Kind.NODE, id="n1", name="worker-1"),
    )
    nodes = (NodeState(id="n1", name="worker-1", role="worker", state="down", availability="active"),)
    mirror = SimpleNamespace(ref=swarm, swarm_state=SwarmState(services=(), nodes=nodes, read_at=1.0))
    world.reporter._nodes_of = lambda incident: inhibition.find_nodes_of_incident(incident, [mirror])
    on_node, elsewhere = {"com.docker.swarm.node.id": "n1"}, {"com.docker.swarm.node.id": "n2"}
    down = {"topic": "node", "subject": node, "owner": "worker-1", "fingerprint": "down", "text": "the node is down"}
    await world.happen(fresh(world, "x", rule="node-down", **down))
    task = Ref(engine=swarm, kind=Kind.TASK, id="t1", name="web.1")
    await world.happen(
        fresh(world, "task", subject=task, labels=on_node),
        fresh(world, "gone", labels=on_node),
        fresh(world, "far", labels=elsewhere),
    )
    await world.wait(20)
    assert sorted(text.split(":")[1].strip() for text in world.chat.messages.values()) == ["far", "worker-1"]
    await world.happen(fresh(world, "x", rule="node-down", state=AlertState.RESOLVED, **{**down, "at": now(world) + 1}))
    await world.wait(30)
    assert sum("Firing:" in text for text in world.chat.messages.values()) == 3


async def test_many_silenced_incidents_do_not_delay_the_next_one(world, monkeypatch):
    monkeypatch.setattr("bot.notify.incident_reporter.MAX_AT_ONCE", 50)
    await add_silence(world.desk.store, silencing("noise*", HOUR), now=world.seconds)
    await world.desk.take(*(fresh(world, f"noise{number}") for number in range(200)))
    await world.wait(5)
    await world.happen(fresh(world, "web"))
    await world.wait(5)
    assert [text.split(":")[1].strip() for text in world.chat.messages.values()] == ["web"]
