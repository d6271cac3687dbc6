"""Messages that thousands of incidents share: few edits, nothing forgotten, and never all incidents in memory."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest
import redis.asyncio.connection

from bot.notify import incident_reporter
from bot.notify.incident_storms import GROWING_EDIT_SECONDS, MAX_STORM_SECONDS, STORM_EDIT_SECONDS, StormGrouping
from bot.notify.incident_writer import stored_incidents
from bot.notify.posted_incidents import OpenMessages, remove_old_entries
from bot.notify.shared_message_editor import READ_AT_ONCE, SharedMessageEditor
from bot.notify.silences import add_silence
from core.metrics import Metrics
from core.model.alert_routes import Route, parse_matcher
from core.model.incidents import PostedIncident, with_post
from core.store.incidents import MessageId
from tests.unit.bot.notify.route_scene import EVENING, HOUR, NIGHT, fresh, now, of_project, over
from tests.unit.bot.notify.test_incident_reporter import World, silencing
from tests.unit.bot.notify.test_incident_storms import about

MANY = 41


@pytest.fixture
async def world(valkey, monkeypatch):
    """Few incidents are read at once, so that 41 of them are many."""
    monkeypatch.setattr(incident_reporter, "MAX_AT_ONCE", 5)
    made = World(valkey.url)
    made.seconds = EVENING - 10 * HOUR
    yield made
    await made.desk.store.aclose()


async def flush(world) -> None:
    """As the reporter does: it goes on at once if more incidents are left."""
    world.reporter._changed.set()
    while world.reporter._changed.is_set():
        world.reporter._changed.clear()
        await world.reporter.flush()


async def settled(world, seconds: int = 30) -> bool:
    """Lets the time pass until nothing waits."""
    for _ in range(seconds):
        await flush(world)
        world.seconds += 1
        if not await world.desk.store.changed_incidents(1):
            return True
    return False


async def test_a_storm_that_is_read_in_parts_is_one_message_with_two_edits(world):
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    assert await settled(world)
    (text,) = world.chat.messages.values()
    assert f"{MANY} incidents at once on h1, {MANY} still open" in text
    assert world.chat.calls.count("edit") <= 2
    await world.happen(over(world, "web7", at=now(world) + 1))
    assert await settled(world)
    (text,) = world.chat.messages.values()
    assert f"{MANY} incidents at once on h1, {MANY - 1} still open" in text


async def test_a_storm_that_grows_for_half_a_minute_is_one_message_with_two_edits_and_no_thread(world):
    for second in range(30):
        await world.happen(*(fresh(world, f"web{second}-{number}") for number in range(3)))
        await flush(world)
        world.seconds += 1
    assert await settled(world)
    (text,) = world.chat.messages.values()
    assert "90 incidents at once on h1, 90 still open" in text
    assert world.chat.calls == ["post", "edit", "edit"] and world.chat.threads == {}


async def test_what_joins_a_storm_is_not_read_again_after_the_edit_that_shows_it(world, monkeypatch):
    """Otherwise the next ones wait for thousands, and the storm ends before they can join it."""
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    await world.wait(1)
    read, original = [], world.desk.store.incidents_of

    async def noted(keys):
        read.extend(keys)
        return await original(keys)

    while "edit" not in world.chat.calls:
        await flush(world)
        world.seconds += 1
    monkeypatch.setattr(world.desk.store, "incidents_of", noted)
    assert await world.desk.store.changed_incidents(MANY) == []
    await world.wait(20)
    assert read == [] and world.chat.calls == ["post", "edit"]


async def test_what_is_silenced_before_the_edit_that_shows_it_is_marked_in_the_message(world):
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    world.seconds += 1
    await flush(world)
    assert world.chat.calls == ["post"], "all of them wait for the edit"
    await add_silence(world.desk.store, silencing("web17", HOUR), now=world.seconds)
    assert await settled(world)
    (text,) = world.chat.messages.values()
    assert f"{MANY} incidents at once" in text and text.count("firing, silenced") == 1


async def test_what_is_silenced_a_moment_after_an_edit_is_marked_by_the_next_one_and_no_other_follows(world):
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    assert await settled(world)
    await world.desk.take(over(world, "web7", at=now(world) + 1))
    world.seconds += STORM_EDIT_SECONDS
    await flush(world)
    edits = world.chat.calls.count("edit")
    await add_silence(world.desk.store, silencing("web17", HOUR), now=world.seconds)
    await world.wait(3 * STORM_EDIT_SECONDS)
    assert await settled(world) and world.chat.calls.count("edit") == edits + 1
    assert next(iter(world.chat.messages.values())).count("firing, silenced") == 1


async def test_an_edit_reads_only_the_incidents_of_its_message(world, monkeypatch):
    """The number of round trips does not depend on what else is in the store."""
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    assert await settled(world)
    trips = []
    for more in (0, 500):
        incidents = [about(f"other{number}", "h2") for number in range(more)]
        for each in incidents:
            post = PostedIncident(channel="C1", ts="77", version=1, shared=True)
            value = msgspec.json.encode(with_post(each, post))
            assert await world.desk.store.keep_incident(each.key, None, value, MessageId("C1", "77"))
        world.seconds += STORM_EDIT_SECONDS
        await world.desk.take(over(world, "web7", at=now(world) + 1 + more))
        edits = world.chat.calls.count("edit")
        with monkeypatch.context() as patched:
            sent = count_round_trips(patched)
            await flush(world)
            trips.append(len(sent))
        assert world.chat.calls.count("edit") == edits + 1
        await world.desk.take(fresh(world, "web7", at=now(world) + 2 + more, count=2 + more))
        assert await settled(world)
    assert trips[0] == trips[1] <= 10 and world.chat.in_channel("C1")[0].count(f"{MANY} incidents at once") == 1


def count_round_trips(patched) -> list[bytes]:
    """Returns a list of what each round trip to the store sends from now on."""
    sent: list[bytes] = []
    original = redis.asyncio.connection.AbstractConnection.send_packed_command

    async def counting(self, command, *more, **named):
        sent.append(b"".join(command) if isinstance(command, list) else command)
        return await original(self, command, *more, **named)

    patched.setattr(redis.asyncio.connection.AbstractConnection, "send_packed_command", counting)
    return sent


async def test_the_messages_of_an_older_version_are_found_too_and_old_entries_are_removed(world):
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    assert await settled(world)
    store = world.desk.store
    await store._client.delete("{qd}:incidents:messages")
    world.reporter = world.process()
    await world.happen(over(world, "web7", at=now(world) + 1))
    assert await settled(world)
    assert f"{MANY} incidents at once on h1, {MANY - 1} still open" in next(iter(world.chat.messages.values()))
    assert await remove_old_entries(store) == 0
    first, *_ = await stored_incidents(store)
    await store.remove_incidents([first.key])
    await store.index_messages([MessageId("C1", "77").entry(first.key), MessageId("C1", "77").entry("unknown")])
    assert await remove_old_entries(store) == 3
    assert len([key async for key, _ in store.incidents_in(MessageId("C1", "1"))]) == MANY - 1


async def test_a_group_that_is_read_in_parts_names_ten_at_a_time_and_counts_the_others(world):
    world.reporter = world.process("", Route(to=("C2",), group_by=("project",), mention=("S0ONCALL",)))
    await world.happen(of_project(world, "first", "shop"))
    await world.wait(60)
    await world.happen(*(of_project(world, f"web{number}", "shop") for number in range(MANY)))
    assert await settled(world)
    (text,) = world.chat.messages.values()
    assert f"{MANY + 1} incidents of project shop, {MANY + 1} still open" in text
    entries = world.chat.threads["C2", "1"][1:]  # after the details of the first one
    assert sum(entry.count("Firing: shop/web") for entry in entries) + sum(left_out(entry) for entry in entries) == MANY
    assert world.chat.mentions == [("C2", "S0ONCALL")] * (1 + len(entries))
    assert len(entries) <= 2 and world.chat.calls.count("edit") <= 2, "for nine parts"


def left_out(entry: str) -> int:
    last = entry.splitlines()[-1]
    return int(last.partition(" more")[0]) if " more. List them" in last else 0


async def test_a_large_storm_does_not_keep_another_channel_waiting(world):
    world.reporter = world.process("C1", Route(matchers=(parse_matcher("project=shop"),), to=("C2",)))
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    await world.happen(of_project(world, "api", "shop"))
    await world.wait(1)
    await flush(world)
    await flush(world)
    assert any("shop/api" in text for text in world.chat.in_channel("C2"))


async def test_after_a_restart_in_the_middle_all_of_a_storm_are_in_its_message(world):
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    await world.wait(2)
    world.reporter = world.process()
    assert await settled(world)
    (text,) = world.chat.messages.values()
    assert f"{MANY} incidents at once on h1, {MANY} still open" in text


def test_while_more_and_more_incidents_join_the_table_is_written_rarely() -> None:
    """A thousand a second for half a minute, and then one at a time for an hour."""
    sharing, at, edits = StormGrouping(size=3, seconds=30.0), 1000.0, 0
    for second in range(30):
        new = [about(f"web{second}-{number}") for number in range(10)]
        for each in sharing.due(new, at)[:1]:
            sharing.posted("C1", "1", each, at)
        for storm in sharing.storms:
            if at >= storm.due_at():
                storm.next_edit, edits = at + STORM_EDIT_SECONDS, edits + 1
        at += 1.0
    (storm,) = sharing.storms
    assert edits <= 1 + 30 / GROWING_EDIT_SECONDS
    ends = storm.began + MAX_STORM_SECONDS
    while at < ends + 60:
        sharing.due([about(f"late{at}")], at)
        at += 5.0
    assert storm not in sharing.storms, "somebody must be called again some day"


class Thousands:
    """A store of incidents that share one message."""

    def __init__(self, number: int) -> None:
        made = map(self._incident, range(number))
        self._values = {incident.key: msgspec.json.encode(incident) for incident in made}
        self.recorded = 0

    async def incidents_in(self, message):
        assert message == MessageId("C1", "1")
        for each in self._values.items():
            yield each

    async def incidents_of(self, wanted):
        assert len(wanted) <= READ_AT_ONCE
        return {key: self._values[key] for key in wanted}

    async def keep_incident(self, key, before, value, message):
        self.recorded += 1
        return True

    @staticmethod
    def _incident(number: int):
        post = PostedIncident(channel="C1", ts="1", version=0, shared=True, storm="on h1")
        return with_post(about(f"service-{number}"), post)


async def test_the_edit_of_a_message_of_thousands_holds_few_of_them_in_memory():
    """All of them would take 3 MB."""
    store, texts = Thousands(1_500), []

    class Chat:
        async def edit(self, channel, ts, reply):
            texts.append(reply.blocks[0].text)

    editor = SharedMessageEditor(
        store, Chat(), Metrics(), OpenMessages(store), now=lambda: 1.0, now_ns=lambda: 1_000_000_000
    )
    tracemalloc.start()
    try:
        await editor.edit("C1", ("C1", "1"), {})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "1500 incidents at once on h1, 1500 still open" in texts[0]
    assert store.recorded == 1_500 and peak < 3 << 19, f"{peak:,} bytes"


async def test_what_a_night_held_back_is_one_message_though_it_is_read_in_parts(world):
    world.reporter = world.process("", Route(to=("C2",), quiet=NIGHT))
    world.seconds = EVENING + HOUR
    await world.happen(*(fresh(world, f"web{number}") for number in range(MANY)))
    world.seconds = EVENING + 9 * HOUR + 1
    assert await settled(world)
    (text,) = world.chat.messages.values()
    assert f"{MANY} incidents in the quiet hours 22:00 to 07:00 (UTC), {MANY} still open" in text
