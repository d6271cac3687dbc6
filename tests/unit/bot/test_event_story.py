"""Several processes and one store: one story, whoever is asked, whoever was restarted, and what is missing is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from collectors.event_processor import EventProcessor
from collectors.event_recorder import EventRecorder
from core import metrics
from core.model.actions import Stop
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind, EventList
from core.model.refs import Ref
from core.ports import Call
from core.store.client import Store
from runtimes.inventory.mirror import Mirror
from runtimes.inventory.stored_events import EngineWithHistory, StoredEvents
from tests.fake_engine.engine import FakeRuntime


def call(who: str = "slack:T1/ANN") -> Call:
    return Call(id="c", who=who, deadline=datetime.now(UTC) + timedelta(minutes=1), invocation="i")


class Replica:
    """One process that watches the engine. Its clock for causes is moved by hand."""

    def __init__(self, engine: FakeRuntime, store: Store) -> None:
        self.engine, self.store = engine, store
        self.lost = 0
        self.settle: Callable[[], None] = lambda: None
        self.mirror = Mirror(engine, stored=StoredEvents(store))
        self.recorder = EventRecorder(store, lambda: engine.engine_id, self._count)
        self.processor = EventProcessor(self.mirror, metrics.Metrics(), call_later=self._later, recorder=self.recorder)
        self.mirror.stream_opened(1)
        self.mirror.replace(engine.containers.values(), 1)

    def _count(self, number: int) -> None:
        self.lost += number

    def _later(self, seconds: float, settle: Callable[[], None]) -> None:
        self.settle = settle

    def receive(self, *events: Event) -> None:
        self.processor.process(events)

    def explain(self) -> None:
        """Some seconds later."""
        now = self.processor._ends._now_ns()
        self.processor._ends._now_ns = lambda: now + 60 * 10**9
        self.settle()

    async def events(self, **options: object) -> EventList:
        return await self.mirror.run(ListEvents(engine=self.mirror.ref, **options), call())  # type: ignore[arg-type]

    async def story(self) -> list[tuple[str, str, str]]:
        return [
            (str(event.kind), event.attrs.get("cause_text", ""), event.attrs.get("cause_by", ""))
            for event in (await self.events(lifecycle=True)).rows
        ]


class Host:
    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = FakeRuntime("h1", kind="docker")
        self.web = self.engine.add("web")
        self.born = tuple(self.engine.ring)
        self.stores: list[Store] = []

    def replica(self) -> Replica:
        self.stores.append(Store.open(self.url))
        return Replica(self.engine, self.stores[-1])

    def stop(self, ref: Ref) -> list[Event]:
        """`docker stop`, as Docker reports it."""
        said = [(EventKind.KILLED, {"signal": "15"}), (EventKind.DIED, {"exit_code": "0"}), (EventKind.STOPPED, {})]
        return [self.engine.happen(kind, ref, **attrs) for kind, attrs in said]


@pytest.fixture
async def host(valkey) -> AsyncIterator[Host]:
    made = Host(valkey.url)
    yield made
    for store in made.stores:
        await store.aclose()


async def test_two_replicas_tell_one_story_and_both_know_the_requester(host):
    one, two = host.replica(), host.replica()
    one.mirror.own_changes.noted(Stop(engine=host.engine.ref, target=host.web), call())
    stopped = host.stop(host.web)
    for replica in (two, one):
        replica.receive(*host.born, *stopped)
        replica.explain()
        await replica.recorder.write()
    story = [
        ("created", "", ""),
        ("started", "", ""),
        ("killed", "", ""),
        ("died", "stop through Quarterdeck", "slack:T1/ANN"),
        ("stopped", "", ""),
    ]
    assert await one.story() == await two.story() == story
    assert (await one.store.usage()).event_rows == 5


async def test_of_an_end_whose_cause_is_still_looked_for_every_reader_of_that_process_is_told_so(host):
    replica = host.replica()
    replica.receive(*host.stop(host.web))
    await replica.recorder.write()
    (died,) = (event for event in (await replica.events(lifecycle=True)).rows if event.kind is EventKind.DIED)
    assert died.attrs.get("cause_pending") == "true"
    replica.explain()
    (died,) = (event for event in (await replica.events(lifecycle=True)).rows if event.kind is EventKind.DIED)
    assert "cause_pending" not in died.attrs and died.attrs["cause_text"]


async def test_a_restart_forgets_nothing_and_a_single_command_knows_it_too(host):
    before = host.replica()
    before.receive(*host.born, *host.stop(host.web))
    before.explain()
    await before.recorder.write()
    host.engine.ring.clear()  # the daemon was restarted as well
    after = host.replica()
    assert [kind for kind, *_ in await after.story()] == ["created", "started", "killed", "died", "stopped"]
    alone = EngineWithHistory(host.engine, StoredEvents(after.store))
    listed = await alone.run(ListEvents(engine=host.engine.ref, names=(("web", (host.web,)),)), call())
    assert listed.rows[3].attrs["cause_text"] == "stopped by a client of its engine" and not listed.notes


async def test_a_single_command_that_stops_a_container_is_named_by_the_process_that_watches(host):
    watching = host.replica()
    alone = EngineWithHistory(host.engine, StoredEvents(watching.store))
    await alone.run(Stop(engine=host.engine.ref, target=host.web), call("console:ada"))
    host.engine.ring.clear()  # what it tells is told below, as Docker does
    watching.receive(*host.born, *host.stop(host.web))
    watching.explain()
    await watching.recorder.write()
    assert ("died", "stop through Quarterdeck", "console:ada") in await watching.story()
    # Another end later is not theirs.
    host.engine.happen(EventKind.STARTED, host.web)
    watching.receive(*host.stop(host.web))
    watching.explain()
    await watching.recorder.write()
    assert [by for kind, _, by in await watching.story() if kind == "died"] == ["console:ada", ""]


async def test_while_the_store_is_gone_memory_goes_on_and_later_nothing_is_missing(host, valkey):
    replica = host.replica()
    replica.receive(*host.born)
    await replica.recorder.write()
    valkey.stop()
    try:
        replica.receive(*host.stop(host.web))
        await replica.recorder.write()
        listed = await replica.events(lifecycle=True)
        assert [str(event.kind) for event in listed.rows] == ["created", "started", "killed", "died", "stopped"]
        assert listed.notes[0].startswith("Events that this process did not see itself may be missing")
    finally:
        valkey.start()
    await replica.recorder.write()
    assert replica.lost == 0
    assert [kind for kind, *_ in await host.replica().story()][-3:] == ["killed", "died", "stopped"]
