"""`events -f`: what comes, to whom, and how it ends; on mirrors whose events the tests publish."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from bot import plain_text
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from core.model.invocation import Identity
from core.model.policy import Grant, Policy
from core.model.policy_selectors import Selector
from core.model.refs import Kind, Ref
from core.model.replies import Ending
from core.ports import ActionStarted, Progress
from runtimes.inventory.mirror import Mirror
from runtimes.inventory.stored_events import EngineWithHistory, StoredEvents
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="slack:T1/BOB", name="bob")
DEV = Grant(id="dev", who=BOB.id, can=("event.list", "container.list"), on=Selector(labels=(("env", "dev"),)))


class Talk:
    """What the requester is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stop = ""
        self.open = True
        self.news = asyncio.Event()

    def started(self, action: ActionStarted) -> None:
        raise AssertionError("nothing changes")

    def progress(self, progress: Progress) -> bool:
        self.lines += [f"{progress.name} | {line[10:]}" if progress.several else line[10:] for line in progress.lines]
        self.stop = progress.stop
        self.news.set()
        return self.open

    async def finish(self, reply: object) -> None:
        """The test has it."""

    async def until(self, number: int) -> None:
        async with asyncio.timeout(60):
            while len(self.lines) < number or not self.stop:
                self.news.clear()
                await self.news.wait()


class Host:
    """An engine, and its mirror as a running bot has it."""

    def __init__(self, name: str = "h1") -> None:
        self.engine = FakeRuntime(name, kind="docker")
        self.mirror = Mirror(self.engine)
        self.web = self.engine.add("web", labels={"env": "dev"})
        self.db = self.engine.add("db", labels={"env": "prod"})
        self.mirror.stream_opened(1)
        self.mirror.replace(self.engine.containers.values(), 1)

    def happen(self, kind: EventKind, ref: Ref, **attrs: str) -> Event:
        event = self.engine.happen(kind, ref, **attrs)
        self.mirror.add_to_history([event])
        return event


async def until_gone(mirror: Mirror) -> None:
    async with asyncio.timeout(60):
        while mirror.feed._followers:
            await asyncio.sleep(0.01)


async def test_new_events_come_as_they_happen_with_their_cause_and_stop_ends_it(valkey):
    host, talk = Host(), Talk()
    host.happen(EventKind.DIED, host.db, exit_code="3")  # before
    async with Deck(valkey.url, [host.mirror]) as deck:
        following = asyncio.create_task(deck.say("events -f", responder=talk))
        await talk.until(0)
        died = host.happen(EventKind.DIED, host.web, exit_code="1")
        probe = msgspec.structs.replace(died, kind=EventKind.OTHER, action="exec_start")
        host.mirror.add_to_history([probe])
        host.mirror.add_cause(died, Cause(kind=CauseKind.CRASHED, text="crashed: it failed (exit code 1)"))
        host.happen(EventKind.STARTED, host.web)
        await talk.until(3)
        assert talk.lines == [
            "died web: exit code 1",
            "cause of the end of web: crashed: it failed (exit code 1)",
            "started web: busybox:1",
        ]
        assert (await deck.say(talk.stop)).ending is Ending.OK
        reply = await following
        assert "Followed the events of docker/h1 for" in plain_text.render(reply)
        assert "3 events; was stopped." in plain_text.render(reply) and reply.ending is Ending.OK
        await until_gone(host.mirror)


async def test_names_types_and_earlier_events_are_chosen_as_without_following(valkey):
    host, talk = Host(), Talk()
    host.happen(EventKind.DIED, host.web, exit_code="3")
    host.happen(EventKind.DIED, host.db, exit_code="4")
    async with Deck(valkey.url, [host.mirror]) as deck:
        following = asyncio.create_task(deck.say("events web -f --since 5m --action died", responder=talk))
        await talk.until(1)
        host.happen(EventKind.STARTED, host.web)
        host.happen(EventKind.DIED, host.db, exit_code="5")
        host.happen(EventKind.DIED, host.web, exit_code="6")
        await talk.until(2)
        assert talk.lines == ["died web: exit code 3", "died web: exit code 6"]
        talk.open = False  # the message is gone
        host.happen(EventKind.DIED, host.web, exit_code="7")
        assert "its lines could not be shown" in plain_text.render(await following)
        refused = plain_text.render(await deck.say("events -f --until 5m"))
        assert "--follow and --until cannot be combined" in refused


async def test_several_engines_are_one_message_whose_lines_name_them(valkey):
    one, two, talk = Host("h1"), Host("h2"), Talk()
    async with Deck(valkey.url, [one.mirror, two.mirror]) as deck:
        following = asyncio.create_task(deck.say("events -f", responder=talk))
        async with asyncio.timeout(60):
            while not (one.mirror.feed._followers and two.mirror.feed._followers):
                await asyncio.sleep(0.01)
        one.happen(EventKind.PAUSED, one.web)
        await talk.until(1)
        two.happen(EventKind.PAUSED, two.web)
        await talk.until(2)
        assert talk.lines == ["docker/h1 | paused web", "docker/h2 | paused web"]
        following.cancel()  # Ctrl-C
        await asyncio.wait([following])
        await until_gone(one.mirror)
        await until_gone(two.mirror)


async def test_each_event_is_shown_to_those_who_may_see_it_then(valkey):
    host, talk = Host(), Talk()
    bridge = Ref(engine=host.engine.ref, kind=Kind.NETWORK, id="n1", name="bridge")
    connected = Event(
        time.time_ns(), EventKind.OTHER, bridge, Origin.LIVE, "network", "connect", {"container": host.db.id}
    )
    policy = Policy(grants=(DEV,))
    async with Deck(valkey.url, [host.mirror], policy=policy) as deck:
        following = asyncio.create_task(deck.say("events -f --all", BOB, responder=talk))
        await talk.until(0)
        host.happen(EventKind.PAUSED, host.db)
        host.mirror.add_to_history([connected])
        host.happen(EventKind.PAUSED, host.web)
        await talk.until(1)
        assert talk.lines == ["paused web"]
        # From now on he may see the other one, and not this one.
        deck.policies.replace_configured(
            Policy(grants=(Grant(id="dev", who=BOB.id, can=DEV.can, on=Selector(labels=(("env", "prod"),))),))
        )
        host.happen(EventKind.UNPAUSED, host.web)
        host.happen(EventKind.UNPAUSED, host.db)
        await talk.until(2)
        assert talk.lines[1:] == ["unpaused db"]
        deck.policies.replace_configured(Policy())
        host.happen(EventKind.PAUSED, host.db)
        reply = await following
        assert talk.lines[1:] == ["unpaused db"]
        assert "the permission for it was taken away" in plain_text.render(reply)


async def test_an_engine_that_is_not_watched_is_watched_for_as_long_as_it_is_followed(valkey):
    host, talk = Host(), Talk()
    opened = []

    class Watch:
        async def __aenter__(self):
            opened.append("opened")
            return host.mirror.feed

        async def __aexit__(self, *error):
            opened.append("closed")

    class Empty:
        async def find_events(self, wanted, selects, /):
            raise AssertionError("only new events were asked for")

    front = EngineWithHistory(host.engine, StoredEvents(Empty()), watch=Watch)
    async with Deck(valkey.url, [front]) as deck:
        following = asyncio.create_task(deck.say("events -f", responder=talk))
        await talk.until(0)
        host.happen(EventKind.PAUSED, host.web)
        await talk.until(1)
        assert talk.lines == ["paused web"]
        await deck.say(talk.stop)
        await following
    assert opened == ["opened", "closed"]


@pytest.mark.parametrize("line", ["events -f", "events -f --since 5m"])
async def test_too_many_engines_are_refused(valkey, line):
    engines = [FakeRuntime(f"h{number}") for number in range(21)]
    async with Deck(valkey.url, engines) as deck:
        reply = await deck.say(line)
        assert reply.ending is Ending.USAGE
        assert "follows at most 20 engines at once, but 21 are selected" in plain_text.render(reply)
