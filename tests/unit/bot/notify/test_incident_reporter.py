"""The reporter, on a real store and a chat that is written down: every incident is told once, whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from bot import plain_text
from bot.notify import channel_tasks, crash_card_poster, silences
from bot.notify.incident_reporter import RETRY_SECONDS, IncidentReporter
from bot.notify.incident_writer import change_incident, stored_incidents
from bot.notify.message_sender import SentMessage
from bot.notify.silences import add_silence, list_silences_in_force, remove_silence
from core import errors, supervise
from core.model.alert_actions import AddSilence
from core.model.alert_routes import Route, Routing
from core.model.alerts import AlertState, Severity
from core.model.incidents import acknowledge
from core.model.invocation import Identity
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Reply, Text
from tests.helpers.alerts import alert
from tests.unit.bot.notify.test_incident_writer import Desk

SECOND = 1_000_000_000
STORM_SECONDS = Routing().storm_seconds
NAMED = {"#ops": "C0OPS"}


class Chat:
    """Remembers each message by channel and id, with its thread and whom it mentions, and counts the calls."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], str] = {}
        self.threads: dict[tuple[str, str], list[str]] = {}
        self.calls: list[str] = []
        self.mentions: list[tuple[str, str]] = []  # channel and id of whom a new message mentions
        self.broadcasts: list[str] = []
        self.named: dict[str, SentMessage] = {}
        self.lost: list[BaseException] = []  # raised after a message was posted
        self.failing: Exception | None = None
        self.deleted: set[tuple[str, str]] = set()
        self._ids = itertools.count(1)

    async def post(self, to, reply, thread="", *, broadcast=False, once="", urgent=False):
        self._fail()
        if (to, thread) in self.deleted:
            raise errors.MessageNotFound(code="thread_not_found")
        if once and once in self.named:
            return replace(self.named[once], tried_before=True)
        self.calls.append("post")
        sent = self.named[once] = self._posted(to, reply, thread, broadcast)
        if self.lost:
            raise self.lost.pop(0)
        return sent

    def _posted(self, to, reply, thread, broadcast):
        channel = f"D{to[1:]}" if to.startswith("U") else NAMED.get(to, to)
        self.mentions += [(channel, who) for who in reply.mention]
        text = plain_text.render(reply)
        if broadcast:
            self.broadcasts.append(text)
        if thread:
            self.threads.setdefault((channel, thread), []).append(text)
            return SentMessage(channel=channel, ts=f"{thread}.{next(self._ids)}")
        ts = str(next(self._ids))
        self.messages[channel, ts] = text
        return SentMessage(channel=channel, ts=ts)

    def in_channel(self, channel):
        """The texts of the messages in a channel."""
        return [text for (place, _), text in self.messages.items() if place == channel]

    async def edit(self, channel, ts, reply):
        self._fail()
        if (channel, ts) in self.deleted:
            raise errors.MessageNotFound(code="message_not_found")
        self.calls.append("edit")
        self.messages[channel, ts] = plain_text.render(reply)

    def delete(self, channel, ts):
        """Somebody deletes a message."""
        del self.messages[channel, ts]
        self.deleted.add((channel, ts))

    def _fail(self):
        if self.failing is not None:
            raise self.failing


class World:
    def __init__(self, url: str) -> None:
        self.desk = Desk(url)
        self.chat = Chat()
        self.seconds = 1000.0
        self.leads = True
        self.reporter = self.process()

    def process(self, channel: str = "C1", *routes: Route, **more) -> IncidentReporter:
        self.routing = Routing(default=channel, routes=routes, **more)
        return IncidentReporter(
            self.desk.store,
            self.chat,
            self.desk.counts,
            routing=lambda: self.routing,
            changed=asyncio.Event(),
            leads=lambda: self.leads,
            now=lambda: self.seconds,
            now_ns=lambda: int(self.seconds * SECOND),
        )

    async def happen(self, *alerts) -> None:
        await self.desk.take(*alerts)
        await self.reporter.flush()

    async def wait(self, seconds: float) -> None:
        """Lets the time pass, with a flush every second."""
        for _ in range(int(seconds)):
            self.seconds += 1
            await self.reporter.flush()


@pytest.fixture
async def world(valkey):
    made = World(valkey.url)
    yield made
    await made.desk.store.aclose()


def now(world: World) -> int:
    return int(world.seconds * SECOND)


def crash(name: str, *, at: int = 1, **more):
    subject = Ref(engine=EngineRef(host="h1", kind="docker"), kind=Kind.CONTAINER, id=name.ljust(64, "0"), name=name)
    return alert(at=at, **{"fingerprint": name, "subject": subject, "owner": name, **more})


async def test_an_incident_is_one_message_that_is_edited_and_a_thread_that_tells_what_is_new(world):
    await world.happen(alert())
    ((_, text),) = world.chat.messages.items()
    assert "Firing: shop/web: crashed" in text and "docker/h1 · medium" in text
    await world.wait(1)
    (card,) = world.chat.threads["C1", "1"]
    assert "container web@docker/h1" in card
    for at in range(2, 22):
        await world.happen(alert(at=at, count=at))
    ((_, text),) = world.chat.messages.items()
    assert "21 times" in text and world.chat.threads == {("C1", "1"): [card]}
    await world.happen(alert(at=30, state=AlertState.RESOLVED, text="no trouble since"))
    ((_, text),) = world.chat.messages.items()
    assert "Resolved: shop/web" in text
    assert world.chat.threads["C1", "1"][1:] == ["Resolved after 0 s: no trouble since."]
    await world.happen(alert(at=31, count=22))
    assert len(world.chat.messages) == 1 and "It is back" in world.chat.threads["C1", "1"][-1]


async def test_nothing_is_told_twice_and_a_new_process_goes_on_with_the_same_message(world):
    await world.happen(alert())
    await world.wait(1)
    calls = len(world.chat.calls)
    await world.wait(5)
    assert len(world.chat.calls) == calls
    world.reporter = world.process()
    await world.wait(5)
    assert len(world.chat.calls) == calls
    await world.happen(alert(at=2, count=2))
    assert len(world.chat.messages) == 1 and "2 times" in world.chat.messages["C1", "1"]


async def test_an_acknowledgement_shows_who_takes_care(world):
    await world.happen(alert())
    (incident,) = await stored_incidents(world.desk.store)
    await change_incident(world.desk.store, incident.key, lambda each: acknowledge(each, "slack:T1/U1", "Ada"))
    await world.wait(1)
    assert "Acknowledged: shop/web" in world.chat.messages["C1", "1"]
    assert "Ada takes care of it" in world.chat.messages["C1", "1"]


async def test_forty_one_ends_in_five_seconds_are_one_message_that_is_edited_once(world):
    for number in range(41):
        await world.happen(crash(f"web{number}", at=number + 1))
        if number % 8 == 7:
            await world.wait(1)
    await world.wait(10)
    assert len(world.chat.messages) == 1
    (text,) = world.chat.messages.values()
    assert "41 incidents at once on h1, 41 still open" in text
    # The first one was posted before anybody could know that there are more. Its card was held until then.
    assert world.chat.calls == ["post", "edit"] and world.chat.threads == {}
    for number in range(41):
        await world.desk.take(crash(f"web{number}", at=100, state=AlertState.RESOLVED, text="gone"))
    await world.wait(10)
    (text,) = world.chat.messages.values()
    assert "Resolved: all 41 incidents" in text
    assert await world.desk.store.changed_incidents(100) == []


async def test_a_few_incidents_have_a_message_each_and_later_ones_too(world):
    await world.happen(crash("a"), crash("b"))
    await world.wait(STORM_SECONDS + 1)
    await world.happen(crash("c"), crash("d"), crash("e"))
    await world.wait(5)
    assert len(world.chat.messages) == 5


async def test_while_the_channel_is_closed_incidents_wait_and_then_only_the_newest_state_is_told(world):
    world.chat.failing = errors.Undeliverable("The bot is not in the channel.", code="not_in_channel")
    await world.happen(alert())
    for at in range(2, 12):
        await world.happen(alert(at=at, count=at))
    assert world.chat.messages == {}
    world.chat.failing = None
    await world.wait(RETRY_SECONDS + 1)
    assert next(iter(world.chat.messages.values())).count("11 times") == 1
    assert world.chat.calls == ["post", "post"]


async def test_a_post_whose_answer_was_lost_is_passed_on_with_its_mark_and_is_there_once(world):
    world.chat.lost = [errors.Undeliverable("Slack cannot be reached.", code="unreachable", maybe_sent=True)]
    await world.happen(alert())
    assert len(world.chat.messages) == 1 and world.chat.threads == {}
    await world.wait(RETRY_SECONDS + 1)
    assert len(world.chat.messages) == 1 and len(world.chat.threads["C1", "1"]) == 1
    assert await world.desk.store.changed_incidents(10) == []


@pytest.mark.parametrize("killed_after", [0, 1])
async def test_a_process_killed_between_post_and_record_is_followed_by_one_that_finds_the_message(world, killed_after):
    """0: after the message; 1: after the details in its thread."""
    post, posted = world.chat.post, []

    async def killed(channel, reply, thread="", **more):
        ts = await post(channel, reply, thread, **more)
        posted.append(ts)
        if len(posted) > killed_after:
            world.chat.failing = asyncio.CancelledError()  # nothing is recorded any more
            raise asyncio.CancelledError
        return ts

    world.chat.post = killed
    await world.happen(alert())
    await world.wait(killed_after)
    assert len(posted) == killed_after + 1
    world.chat.post, world.chat.failing = post, None
    world.reporter = world.process()
    await world.wait(5)
    assert len(world.chat.messages) == 1 and len(world.chat.threads["C1", "1"]) == 1
    assert await world.desk.store.changed_incidents(10) == []


async def test_the_details_are_not_forgotten_if_slack_refuses_them_at_first(world):
    post = world.chat.post

    async def only_messages(channel, reply, thread="", **more):
        if thread:
            raise errors.Undeliverable("Slack refused.", code="ratelimited")
        return await post(channel, reply, thread, **more)

    world.chat.post = only_messages
    await world.happen(alert())
    await world.wait(1)
    assert len(world.chat.messages) == 1 and world.chat.threads == {}
    world.chat.post = post
    await world.wait(RETRY_SECONDS + 1)
    assert len(world.chat.messages) == 1 and len(world.chat.threads["C1", "1"]) == 1


async def test_what_the_thread_says_has_a_name_of_its_own_each_time(world):
    for turn in range(1, 4):
        await world.happen(alert(at=10 * turn, count=turn))
        await world.happen(alert(at=10 * turn + 5, state=AlertState.RESOLVED, text="no trouble since"))
    assert len(world.chat.threads["C1", "1"]) == 1 + 5 and len({sent.ts for sent in world.chat.named.values()}) == 7


async def test_a_channel_that_does_not_answer_delays_no_other_one(world, monkeypatch):
    monkeypatch.setattr(channel_tasks, "SLOW_SECONDS", 0.05)
    post, gate = world.chat.post, asyncio.Event()

    async def slow(channel, reply, thread="", **more):
        if channel == "C0SLOW":
            await gate.wait()
        return await post(channel, reply, thread, **more)

    world.chat.post = slow
    world.reporter = world.process("C1", channels=frozenset({"C0SLOW"}))
    await world.happen(crash("a", channel="C0SLOW"))
    await world.happen(crash("b", at=2))
    await world.wait(2)
    assert {channel for channel, _ in world.chat.messages} == {"C1"}
    gate.set()
    await world.wait(2)
    assert {channel for channel, _ in world.chat.messages} == {"C1", "C0SLOW"}


async def test_the_most_urgent_come_first_and_among_them_the_oldest(world):
    world.chat.failing = errors.Undeliverable("Slack asks to wait.", code="ratelimited")
    high, order = Severity.HIGH, []
    await world.happen(crash("a", at=1), crash("b", at=2, severity=high), crash("c", at=3, severity=high))
    world.chat.failing, post = None, world.chat.post

    async def noted(channel, reply, thread="", *, urgent=False, **more):
        if not thread:
            order.append((plain_text.render(reply).split(":")[1].strip(), urgent))
        return await post(channel, reply, thread, urgent=urgent, **more)

    world.chat.post = noted
    await world.wait(RETRY_SECONDS + 3)
    assert order == [("b", True), ("c", True), ("a", False)]


async def test_the_depth_and_the_age_of_what_waits_are_measured(world):
    world.chat.failing = errors.Undeliverable("Slack asks to wait.", code="ratelimited")
    await world.desk.take(alert(at=time.time_ns()))
    world.seconds = time.time() + 100
    await world.reporter.flush()
    counts = world.desk.counts
    assert counts.incidents_waiting._value.get() == 1
    assert 100 <= counts.incidents_oldest_seconds._value.get() < 160
    world.chat.failing = None
    await world.wait(RETRY_SECONDS + 2)
    assert (counts.incidents_waiting._value.get(), counts.incidents_oldest_seconds._value.get()) == (0, 0)


async def test_a_process_that_does_not_lead_tells_nothing(world):
    world.leads = False
    await world.desk.take(alert())
    task = asyncio.create_task(world.reporter.run())
    world.reporter._changed.set()
    await asyncio.sleep(0)
    world.leads = True
    world.reporter._changed.set()
    async with asyncio.timeout(60):
        while not world.chat.messages:
            await asyncio.sleep(0.01)
    task.cancel()
    assert world.chat.calls == ["post"]


async def test_an_incident_that_changes_while_it_is_told_is_told_again(world):
    post = world.chat.post

    async def slow(to, reply, thread="", **more):
        if not thread:
            await world.desk.take(alert(at=2, count=2))
        return await post(to, reply, thread, **more)

    world.chat.post = slow
    await world.happen(alert())
    world.chat.post = post
    await world.wait(2)
    assert len(world.chat.messages) == 1 and "2 times" in world.chat.messages["C1", "1"]


async def test_a_label_names_another_channel_only_if_the_configuration_names_it_too(world):
    world.reporter = world.process("C1", channels=frozenset({"C0PAYMENTS"}))
    await world.happen(
        crash("a", channel="C0PAYMENTS"), crash("b", channel="<!channel>"), crash("c", channel="C0SECRET")
    )
    await world.wait(3)
    assert {channel for channel, _ in world.chat.messages} == {"C0PAYMENTS", "C1"}
    assert len(world.chat.in_channel("C0PAYMENTS")) == 1


async def test_without_a_channel_incidents_are_only_listed_and_that_is_said_once(world):
    world.reporter = world.process(channel="")
    with capture_logs() as lines:
        await world.happen(alert())
        await world.wait(5)
    (said,) = [line for line in lines if "no channel is configured" in line["event"]]
    assert "alerts here" in said["hint"] and world.desk.counts.alert_channel_configured._value.get() == 0
    assert world.chat.calls == [] and await world.desk.store.changed_incidents(10) == []
    assert len(await stored_incidents(world.desk.store)) == 1


async def test_trouble_that_was_over_long_ago_is_not_posted_any_more(world):
    world.seconds = 100_000.0
    await world.happen(alert(at=SECOND), alert(at=2 * SECOND, state=AlertState.RESOLVED))
    assert world.chat.calls == []


def silencing(owner: str, seconds: float, **more) -> AddSilence:
    return AddSilence(by=Identity(id="slack:T1/U1", name="Ada"), owner=owner, seconds=seconds, **more)


async def test_a_silenced_incident_is_posted_in_its_newest_state_when_the_silence_is_over(world):
    world.seconds = 100_000.0
    await add_silence(world.desk.store, silencing("shop/*", 3600), now=world.seconds)
    await world.happen(alert(at=100_000 * SECOND), crash("db", at=100_000 * SECOND))
    assert [text.split(":")[1].strip() for text in world.chat.messages.values()] == ["db"]
    for count in range(2, 6):
        await world.happen(alert(at=(100_000 + count) * SECOND, count=count))
    assert len(world.chat.messages) == 1
    world.seconds += 3601
    await world.wait(3)
    (told,) = [text for text in world.chat.messages.values() if "shop/web" in text]
    assert "5 times" in told
    assert await list_silences_in_force(world.desk.store, world.seconds) == ()
    assert await world.desk.store.silences() == {}


async def test_a_silence_of_one_rule_lets_the_others_through(world):
    world.seconds = 100_000.0
    await add_silence(world.desk.store, silencing("*", 3600, rule="crash"), now=world.seconds)
    await world.happen(alert(at=100_000 * SECOND))
    assert world.chat.messages == {}
    await world.happen(alert("crash-loop", at=100_001 * SECOND))
    assert len(world.chat.messages) == 1


async def test_a_silence_that_is_ended_posts_at_once(world):
    world.seconds = time.time()
    silence = await add_silence(world.desk.store, silencing("*", 3600))
    await world.happen(alert(at=int(world.seconds * SECOND)))
    assert world.chat.messages == {}
    assert await remove_silence(world.desk.store, silence.id) == silence
    await world.wait(2)
    assert len(world.chat.messages) == 1
    with pytest.raises(errors.NotFound):
        await remove_silence(world.desk.store, silence.id)


async def test_too_many_silences_are_refused_and_unreadable_ones_removed(world, monkeypatch):
    monkeypatch.setattr(silences, "MAX_SILENCES", 2)
    await world.desk.store.put_silence("s-old", b"{}")
    for name in ("a", "b"):
        await add_silence(world.desk.store, silencing(name, 60))
    with pytest.raises(errors.UserError, match="2 already, which"):
        await add_silence(world.desk.store, silencing("c", 60))
    assert "s-old" not in await world.desk.store.silences()


async def test_what_is_new_about_an_incident_comes_into_its_thread_once(world):
    await world.happen(alert())
    await world.happen(alert("crash-loop", at=2, text="crash loop: 3 ends in 10 minutes"))
    await world.happen(alert("crash-loop", at=3, count=2, text="crash loop: 4 ends in 10 minutes"))
    thread = world.chat.threads["C1", "1"]
    assert thread[1:] == ["crash-loop: crash loop: 3 ends in 10 minutes"]
    assert len(world.chat.messages) == 1


async def test_the_card_is_made_for_the_channel_after_the_message_is_posted(world):
    made = []

    async def card(incident, channel, *, logs):
        made.append((incident.main.owner, channel, logs, list(world.chat.calls)))
        return Reply(blocks=(Text(text="the card"),))

    world.reporter.channels.cards = crash_card_poster.CrashCardPoster(world.chat, card)
    await world.happen(alert())
    await asyncio.sleep(0)
    assert made == [("shop/web", "C1", False, ["post"])] and world.chat.threads == {}
    await world.wait(1)
    await world.reporter.channels.cards.idle()
    assert world.chat.threads["C1", "1"] == ["the card"]


async def test_a_bug_in_the_making_of_a_card_is_logged_with_the_name_of_its_task_and_the_message_stays(world):
    async def card(incident, channel, *, logs):
        raise KeyError("a bug")

    counted = []
    with capture_logs() as lines:
        async with supervise.Supervisor(on_failure=counted.append):
            world.reporter.channels.cards = crash_card_poster.CrashCardPoster(world.chat, card)
            await world.happen(alert())
            await world.reporter.channels.cards.idle()
            await world.wait(1)
    [name] = [line["task"] for line in lines if line["event"] == "A task failed."]
    assert counted == [name] and name.startswith("crash_card ")
    assert world.chat.calls == ["post"] and world.chat.threads == {}


async def test_a_card_that_took_long_to_make_is_left_out_too_if_its_message_became_one_of_a_storm(world):
    made = asyncio.Event()

    async def card(incident, channel, *, logs):
        await made.wait()
        return Reply(blocks=(Text(text="the card"),))

    world.reporter.channels.cards = crash_card_poster.CrashCardPoster(world.chat, card)
    await world.happen(*(crash(f"web{number}") for number in range(9)))
    await world.wait(5)
    made.set()
    await world.reporter.channels.cards.idle()
    assert world.chat.calls == ["post", "edit"] and world.chat.threads == {}


async def test_the_card_of_a_process_that_was_killed_is_posted_by_the_next_one_and_never_twice(world):
    world.seconds = 100_000.0
    for expected in (1, 2):
        await world.happen(crash(f"web{expected}", at=now(world), since_ns=now(world)))
        assert len(world.chat.threads) == expected - 1
        world.reporter.stop_posting()
        world.reporter = world.process()
        await world.wait(1)
        world.reporter = world.process()
        await world.wait(2)
        assert len(world.chat.threads) == expected == world.chat.calls.count("post") // 2


async def test_what_is_new_comes_into_the_thread_after_the_card(world):
    await world.happen(alert())
    await world.happen(alert("crash-loop", at=2, text="crash loop: 3 ends in 10 minutes"))
    card, note = world.chat.threads["C1", "1"]
    assert "container web@docker/h1" in card and note.startswith("crash-loop")
    await world.wait(2)
    assert len(world.chat.threads["C1", "1"]) == 2


async def test_a_message_that_was_deleted_gets_no_card(world):
    await world.happen(alert())
    world.chat.delete("C1", "1")
    await world.wait(2)
    assert world.chat.threads == {} and await world.desk.store.changed_incidents(10) == []
