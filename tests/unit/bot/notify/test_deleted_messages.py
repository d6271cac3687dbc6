"""A message that somebody deleted, or that the chat refuses, stops no other incident: news gets a new message."""

from __future__ import annotations

import pytest

from bot.notify.incident_writer import stored_incidents
from bot.notify.message_sender import SentMessage
from core import errors
from core.model.alert_routes import Route
from core.model.alerts import AlertState
from tests.unit.bot.notify.route_scene import EVENING, HOUR, NIGHT, fresh, now, of_project, over
from tests.unit.bot.notify.test_incident_reporter import World


@pytest.fixture
async def world(valkey):
    made = World(valkey.url)
    made.seconds = EVENING - 10 * HOUR
    yield made
    await made.desk.store.aclose()


async def nothing_waits(world) -> bool:
    return await world.desk.store.changed_incidents(10) == []


async def test_a_deleted_message_of_a_group_stops_nothing_and_its_news_gets_a_new_message(world):
    route = Route(to=("C2",), group_by=("project",), mention=("S0ONCALL",))
    world.reporter = world.process("", route)
    await world.happen(of_project(world, "a", "shop"))
    await world.wait(60)
    await world.happen(of_project(world, "b", "shop"))
    await world.wait(6)
    world.chat.delete("C2", "1")
    await world.happen(of_project(world, "c", "shop"), fresh(world, "other"))
    await world.wait(12)
    assert world.chat.mentions == [("C2", "S0ONCALL")] * 4
    shop, other = sorted(world.chat.messages.values(), key=lambda text: "other" in text)
    assert "shop/c" in shop and "shop/a" not in shop and "Firing: other" in other
    assert await nothing_waits(world)
    world.reporter = world.process("", route)
    await world.happen(of_project(world, "d", "shop"))
    await world.wait(6)
    assert any("shop/c" in text and "shop/d" in text for text in world.chat.messages.values()), "after a restart too"
    for name in ("a", "b"):
        await world.happen(of_project(world, name, "shop", at=now(world) + 1, state=AlertState.RESOLVED))
        await world.wait(6)
    assert len(world.chat.messages) == 2 and await nothing_waits(world)
    assert any("4 incidents of project shop, 2 still open" in text for text in world.chat.messages.values())


async def test_the_end_and_the_return_of_an_incident_are_told_anew_but_no_small_change(world):
    await world.happen(fresh(world, "web"))
    world.chat.delete("C1", "1")
    await world.happen(fresh(world, "web", at=now(world) + 1, count=2))
    await world.wait(3)
    assert world.chat.messages == {} and await nothing_waits(world)
    await world.happen(over(world, "web", at=now(world) + 2))
    await world.wait(3)
    ((place, text),) = world.chat.messages.items()
    assert "Resolved: web" in text and world.chat.threads[place], "with its details"
    await world.happen(fresh(world, "web", at=now(world) + 3))
    await world.wait(3)
    ((same, text),) = world.chat.messages.items()
    assert same == place and "Firing: web" in text
    assert world.chat.threads[place][-1].startswith("It is back")
    (incident,) = await stored_incidents(world.desk.store)
    assert len(incident.posts) == 1


async def test_a_place_that_the_configuration_named_otherwise_keeps_one_message(world):
    world.reporter = world.process("#ops")
    await world.happen(fresh(world, "web"))
    world.chat.delete("C0OPS", "1")
    world.reporter = world.process("C0OPS")
    await world.happen(over(world, "web", at=now(world) + 1))
    await world.wait(5)
    assert len(world.chat.messages) == 1
    (incident,) = await stored_incidents(world.desk.store)
    assert [post.destination for post in incident.posts] == ["#ops"]


async def test_a_deleted_message_of_a_storm_is_replaced(world):
    for number in range(6):
        await world.happen(fresh(world, f"web{number}"))
    await world.wait(5)
    ((place, _),) = world.chat.messages.items()
    world.chat.delete(*place)
    await world.happen(*(fresh(world, f"more{number}") for number in range(5)))
    await world.wait(12)
    shown = "\n".join(world.chat.messages.values())
    assert all(f"more{number}" in shown for number in range(5)) and await nothing_waits(world)


async def test_in_quiet_hours_a_deleted_message_is_not_replaced_until_their_end(world):
    world.reporter = world.process("", Route(to=("C2",), quiet=NIGHT))
    await world.happen(fresh(world, "web"))
    world.chat.delete("C2", "1")
    world.seconds = EVENING + HOUR
    await world.happen(over(world, "web", at=now(world)))
    await world.wait(20)
    assert world.chat.messages == {}
    world.seconds = EVENING + 9 * HOUR + 1
    await world.wait(18)
    (text,) = world.chat.messages.values()
    assert "Resolved: web" in text or "in the quiet hours" in text


async def test_a_message_that_was_deleted_before_it_was_recorded_does_not_stop_the_next_process(world):
    world.chat.lost.append(errors.Undeliverable("The process is gone.", code="gone"))
    await world.happen(fresh(world, "web"))
    world.chat.delete("C1", "1")
    world.reporter = world.process()
    await world.happen(fresh(world, "db"))
    await world.wait(8)
    assert any("Firing: db" in text for text in world.chat.messages.values()) and await nothing_waits(world)


async def test_a_message_that_the_chat_refuses_does_not_stop_the_others(world):
    post = world.chat.post

    async def picky(to, reply, thread="", *, once="", **more) -> SentMessage:
        if "poison" in str(reply):
            raise errors.Undeliverable("Slack refused chat.postMessage: msg_too_long.", code="msg_too_long")
        return await post(to, reply, thread, once=once, **more)

    world.chat.post = picky
    await world.happen(fresh(world, "poison"))
    for name in ("a", "b"):
        await world.happen(fresh(world, name))
        await world.wait(40)
    assert len(world.chat.messages) == 2
    world.chat.post = post
    await world.wait(8)
    assert len(world.chat.messages) == 3 and await nothing_waits(world)


async def test_an_entry_whose_answers_were_lost_is_not_repeated_when_another_member_changes(world):
    route = Route(to=("C2",), group_by=("project",), mention=("S0ONCALL",))
    world.reporter = world.process("", route)
    await world.happen(of_project(world, "a", "shop"))
    await world.wait(60)
    await world.happen(of_project(world, "e", "shop"))
    await world.wait(60)
    post = world.chat.post

    async def lossy(to, reply, thread="", **more) -> SentMessage:
        sent = await post(to, reply, thread, **more)
        if thread:
            raise errors.Undeliverable("The answer was lost.", code="unreachable", maybe_sent=True)
        return sent

    world.chat.post = lossy
    await world.happen(of_project(world, "b", "shop"), of_project(world, "c", "shop"))
    await world.wait(6)
    await world.happen(
        of_project(world, "d", "shop"), of_project(world, "a", "shop", at=now(world), state=AlertState.RESOLVED)
    )
    world.chat.post = post
    world.reporter = world.process("", route)  # which looks at all of them at once
    await world.wait(12)
    entries = world.chat.threads["C2", "1"]
    for said in ("Firing: shop/b", "Firing: shop/c", "Firing: shop/d", "Resolved: shop/a"):
        assert sum(said in entry for entry in entries) == 1
    assert any("Firing: shop/b" in entry and "Firing: shop/c" in entry for entry in entries), "one call for both"
    assert world.chat.mentions == [("C2", "S0ONCALL")] * 4
    assert await nothing_waits(world)


async def test_a_reminder_whose_answers_were_lost_is_not_repeated_when_a_member_is_over(world):
    route = Route(to=("C2",), group_by=("project",), repeat=2 * HOUR, mention=("S0ONCALL",))
    world.reporter = world.process("", route)
    await world.happen(of_project(world, "a", "shop"))
    await world.wait(10)
    await world.happen(of_project(world, "b", "shop"))
    await world.wait(10)
    post, called = world.chat.post, len(world.chat.mentions)

    async def lossy(to, reply, thread="", **more) -> SentMessage:
        await post(to, reply, thread, **more)
        raise errors.Undeliverable("The answer was lost.", code="unreachable", maybe_sent=True)

    world.chat.post = lossy
    world.seconds += 2 * HOUR
    await world.wait(5)
    assert len(world.chat.broadcasts) == 1
    world.chat.post = post
    await world.happen(of_project(world, "a", "shop", at=now(world), state=AlertState.RESOLVED))
    await world.wait(70)
    (reminder,) = world.chat.broadcasts
    assert "2 incidents are still open" in reminder
    assert len(world.chat.mentions) == called + 1
