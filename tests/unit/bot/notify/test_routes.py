"""Where incidents are posted: routes, mentions, groups, quiet hours and mutes, on a real store and a chat that is
written down. Time passes only by the test."""

from __future__ import annotations

import msgspec
import pytest

from core import errors
from core.model.alert_routes import Route
from core.model.alert_setting_actions import AlertChannel
from core.model.alerts import AlertState, Severity
from core.model.silences import Mute
from tests.helpers.alerts import alert
from tests.unit.bot.notify.route_scene import ADA, EVENING, HIGH, HOUR, NIGHT, fresh, now, of_project, over, pass_time
from tests.unit.bot.notify.test_incident_reporter import World


@pytest.fixture
async def world(valkey):
    made = World(valkey.url)
    made.seconds = EVENING - 10 * HOUR
    yield made
    await made.desk.store.aclose()


# ── where ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_incident_has_one_message_in_each_of_its_places_and_all_are_edited(world):
    world.reporter = world.process("C1", Route(to=("C2", "#ops", "U0ADA")))
    await world.happen(fresh(world, "web"))
    assert {channel for channel, _ in world.chat.messages} == {"C2", "C0OPS", "D0ADA"}
    await world.happen(fresh(world, "web", at=now(world) + 1, count=2))
    assert all("2 times" in text for text in world.chat.messages.values())
    await world.happen(over(world, "web", at=now(world) + 2))
    assert all("Resolved: web" in text for text in world.chat.messages.values())
    assert len(world.chat.messages) == 3
    assert await world.desk.store.changed_incidents(10) == []
    world.reporter = world.process("C1", Route(to=("C2", "#ops", "U0ADA")))
    calls = len(world.chat.calls)
    await world.wait(3)
    assert len(world.chat.calls) == calls


async def test_a_place_that_cannot_be_reached_does_not_delay_the_others(world):
    world.reporter = world.process("C1", Route(to=("C2", "C3")))
    post = world.chat.post

    async def closed(to, reply, thread="", **more):
        if to == "C2":
            raise errors.Undeliverable("The bot is not in the channel.", code="not_in_channel")
        return await post(to, reply, thread, **more)

    world.chat.post = closed
    await world.happen(fresh(world, "web"))
    await world.wait(2)
    assert len(world.chat.in_channel("C3")) == 1
    assert len(await world.desk.store.changed_incidents(10)) == 1
    world.chat.post = post
    await world.wait(10)
    assert len(world.chat.in_channel("C2")) == len(world.chat.in_channel("C3")) == 1
    assert await world.desk.store.changed_incidents(10) == []


async def test_an_incident_that_becomes_severe_is_posted_where_severe_ones_are(world):
    world.reporter = world.process("C1", Route(matchers=HIGH, to=("C9",), mention=("S0ONCALL",)))
    await world.happen(fresh(world, "web"))
    assert world.chat.mentions == []
    await world.happen(alert("crash-loop", subject=fresh(world, "web").subject, owner="web", at=now(world) + 1,
                             severity=Severity.HIGH, text="crash loop"))  # fmt: skip
    assert len(world.chat.in_channel("C1")) == len(world.chat.in_channel("C9")) == 1
    assert world.chat.mentions == [("C9", "S0ONCALL")]
    await world.happen(over(world, "web", at=now(world) + 2))
    assert "crash loop" in world.chat.in_channel("C1")[0]


async def test_a_message_stays_where_it_is_when_the_routes_change(world):
    await world.happen(fresh(world, "web"))
    world.reporter = world.process("C2")
    await world.happen(over(world, "web", at=now(world) + 1))
    assert [channel for channel, _ in world.chat.messages] == ["C1"]
    assert "Resolved" in world.chat.in_channel("C1")[0]


async def test_a_channel_named_in_chat_counts_if_the_configuration_names_none(world):
    world.reporter = world.process("")
    await world.happen(fresh(world, "before"))
    assert world.chat.messages == {}
    assert world.desk.counts.alert_channel_configured._value.get() == 0
    await world.desk.store.put_alert_channel(msgspec.json.encode(AlertChannel(channel="C7")))
    await world.happen(fresh(world, "web"))
    assert [channel for channel, _ in world.chat.messages] == ["C7"]
    assert world.desk.counts.alert_channel_configured._value.get() == 1


# ── mentions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_mention_happens_once_and_again_only_if_the_trouble_is_back(world):
    world.reporter = world.process("C1", Route(to=("C2",), mention=("S0ONCALL", "U0ADA")))
    await world.happen(fresh(world, "web"))
    first = [("C2", "S0ONCALL"), ("C2", "U0ADA")]
    assert world.chat.mentions == first
    for count in range(2, 5):
        await world.happen(fresh(world, "web", at=now(world) + count, count=count))
    await world.happen(over(world, "web", at=now(world) + 9))
    assert world.chat.mentions == first
    await world.happen(fresh(world, "web", at=now(world) + 10))
    assert world.chat.mentions == [*first, *first]


async def test_who_is_muted_is_neither_mentioned_nor_sent_a_direct_message(world):
    world.reporter = world.process("", Route(to=("C2", "U0ADA"), mention=("S0ONCALL", "U0ADA")))
    await world.desk.store.put_mute(ADA.id, msgspec.json.encode(Mute(until=world.seconds + HOUR)))
    await world.happen(fresh(world, "web"), fresh(world, "short"))
    await world.happen(over(world, "short", at=now(world) + 1))
    await world.wait(3)
    assert {channel for channel, _ in world.chat.messages} == {"C2"}
    assert {who for _, who in world.chat.mentions} == {"S0ONCALL"}
    await pass_time(world, HOUR)
    (told,) = world.chat.in_channel("D0ADA")
    assert "Firing: web" in told


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_incidents_of_one_group_share_a_message_while_one_of_them_is_open(world):
    world.reporter = world.process("", Route(to=("C2",), group_by=("project",), mention=("S0ONCALL",)))
    await world.happen(of_project(world, "a", "shop"))
    await world.wait(60)
    await world.happen(of_project(world, "x", "blog"))
    await world.wait(60)
    await world.happen(of_project(world, "b", "shop"))
    await world.wait(6)
    assert len(world.chat.messages) == 2
    shop = world.chat.messages["C2", "1"]
    assert "2 incidents of project shop, 2 still open" in shop and "shop/a" in shop and "shop/b" in shop
    assert "Firing: shop/b" in world.chat.threads["C2", "1"][-1]
    assert world.chat.mentions == [("C2", "S0ONCALL")] * 3
    for name in ("a", "b"):
        await world.happen(of_project(world, name, "shop", at=now(world) + 1, state=AlertState.RESOLVED))
        await world.wait(6)
    assert "Resolved: 2 incidents of project shop" in world.chat.messages["C2", "1"]
    await pass_time(world, 2 * HOUR)
    await world.happen(of_project(world, "c", "shop"))
    await world.wait(6)
    assert len(world.chat.messages) == 3


async def test_a_new_process_goes_on_with_the_message_of_a_group(world):
    route = Route(to=("C2",), group_by=("project",))
    world.reporter = world.process("", route)
    await world.happen(of_project(world, "a", "shop"))
    await world.wait(60)
    world.reporter = world.process("", route)
    await world.happen(of_project(world, "b", "shop"))
    await world.wait(6)
    assert len(world.chat.messages) == 1


async def test_many_groups_at_once_are_a_storm(world):
    world.reporter = world.process("", Route(to=("C2",), group_by=("project",)))
    await world.happen(*(of_project(world, "a", f"p{number}") for number in range(40)))
    await world.wait(12)
    assert len(world.chat.messages) == 1
    assert "40 incidents at once on h1" in world.chat.messages["C2", "1"]


async def test_a_new_process_goes_on_with_a_storm(world):
    for number in range(6):
        await world.happen(fresh(world, f"web{number}"))
    await world.wait(5)
    world.reporter = world.process()
    await world.happen(*(fresh(world, f"more{number}") for number in range(6)))
    await world.wait(8)
    (text,) = world.chat.messages.values()
    assert "12 incidents at once on h1, 12 still open" in text


async def test_a_message_of_a_process_that_died_says_what_happened_since(world):
    world.chat.lost.append(errors.Undeliverable("The process is gone.", code="gone"))
    await world.happen(fresh(world, "web"))
    await world.happen(fresh(world, "web", at=now(world) + 1, count=7))
    world.reporter = world.process()
    await world.wait(8)
    (told,) = world.chat.messages.values()
    assert "7 times" in told
    assert await world.desk.store.changed_incidents(10) == []


async def test_an_incident_whose_details_cannot_be_posted_yet_is_no_storm(world):
    post = world.chat.post

    async def no_details(to, reply, thread="", **more):
        if thread:
            raise errors.Undeliverable("Another process may be posting it.", code="pending")
        return await post(to, reply, thread, **more)

    world.chat.post = no_details
    await world.happen(fresh(world, "web"))
    await world.wait(28)
    world.chat.post = post
    await world.wait(6)
    assert all("Firing: web: crashed" in text for text in world.chat.messages.values())
    assert len({ts for _, ts in world.chat.messages}) == 1


async def test_the_size_of_a_storm_is_configured(world):
    world.reporter = world.process("C1", storm_size=1, storm_seconds=10.0)
    await world.happen(fresh(world, "a"))
    await world.wait(2)
    await world.happen(fresh(world, "b"))
    await world.wait(6)
    assert len(world.chat.messages) == 1
    await world.wait(20)
    await world.happen(fresh(world, "c"))
    await world.wait(3)
    assert len(world.chat.messages) == 2


# ── quiet hours ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_quiet_hours_post_nothing_and_end_with_one_message_about_all(world):
    world.reporter = world.process("", Route(to=("C2",), quiet=NIGHT, mention=("S0ONCALL",)))
    world.seconds = EVENING + HOUR
    await world.happen(fresh(world, "a"), fresh(world, "b"), fresh(world, "c"))
    await world.wait(60)
    await world.happen(over(world, "b", at=now(world)))
    await world.wait(60)
    assert world.chat.messages == {} and world.chat.mentions == []
    world.reporter = world.process("", Route(to=("C2",), quiet=NIGHT, mention=("S0ONCALL",)))
    await world.wait(5)
    assert world.chat.messages == {}
    world.seconds = EVENING + 9 * HOUR + 1
    await world.wait(8)
    (summary,) = world.chat.messages.values()
    assert "3 incidents in the quiet hours 22:00 to 07:00 (UTC), 2 still open" in summary
    assert world.chat.mentions == [("C2", "S0ONCALL")]
    for name in ("a", "c"):
        await world.happen(over(world, name, at=now(world) + 1))
    await world.wait(8)
    (summary,) = world.chat.messages.values()
    assert "Resolved: 3 incidents in the quiet hours" in summary
    assert await world.desk.store.changed_incidents(10) == []


async def test_a_single_open_incident_of_the_night_has_a_message_of_its_own_in_the_morning(world):
    world.reporter = world.process("", Route(to=("C2",), quiet=NIGHT))
    world.seconds = EVENING + HOUR
    await world.happen(fresh(world, "a"))
    world.seconds = EVENING + 9 * HOUR + 1
    await world.wait(3)
    (told,) = world.chat.messages.values()
    assert "Firing: a: crashed" in told


async def test_what_began_before_the_quiet_hours_is_edited_silently_and_its_thread_waits(world):
    world.reporter = world.process("", Route(to=("C2",), quiet=NIGHT, mention=("S0ONCALL",)))
    await world.happen(fresh(world, "web"))
    world.seconds = EVENING + HOUR
    await world.happen(over(world, "web", at=now(world)))
    await world.wait(20)
    assert "Resolved: web" in world.chat.messages["C2", "1"]
    assert len(world.chat.threads["C2", "1"]) == 1
    world.seconds = EVENING + 9 * HOUR + 1
    await world.wait(18)
    assert "Resolved after" in world.chat.threads["C2", "1"][-1]
    assert world.chat.mentions == [("C2", "S0ONCALL")]


async def test_another_route_of_the_same_incident_is_not_quiet(world):
    loud = Route(matchers=HIGH, to=("C9",), further=True)
    world.reporter = world.process("", loud, Route(to=("C2",), quiet=NIGHT))
    world.seconds = EVENING + HOUR
    await world.happen(fresh(world, "web", severity=Severity.HIGH))
    await world.wait(20)
    assert [channel for channel, _ in world.chat.messages] == ["C9"]
    world.seconds = EVENING + 9 * HOUR + 1
    await world.wait(18)
    assert sorted(channel for channel, _ in world.chat.messages) == ["C2", "C9"]
