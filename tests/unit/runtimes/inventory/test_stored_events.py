"""The stored history, merged with what the engine and this process remember."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from core import errors
from core.model import actions
from core.model.background_jobs import ReadJob
from core.model.end_causes import Cause, CauseKind
from core.model.event_actions import ListEvents
from core.model.event_coverage import Coverage
from core.model.events import Event, EventKind, EventList, Origin
from core.ports import Call
from core.store.records import EventName, EventsFound, WatchSpan, engine_key
from runtimes.base.base_adapter import does
from runtimes.inventory import event_followers, event_history, event_rows, stored_events
from runtimes.inventory.event_rows import to_stored
from runtimes.inventory.mirror import Mirror
from runtimes.inventory.stored_events import EngineWithHistory, StoredEvents
from tests.fake_engine.engine import FakeRuntime

NOW = 1_800_000_000.0
NOW_NS = int(NOW * 1e9)
BY_ANN = Cause(kind=CauseKind.REQUESTED, text="stop through Quarterdeck", by="slack:T1/ANN")


def call() -> Call:
    return Call(id="c", who="ann", deadline=datetime.now(UTC) + timedelta(minutes=1), invocation="i")


class Shelf:
    """The store's history."""

    def __init__(self, **found) -> None:
        self.found = EventsFound(**found)
        self.asked = []
        self.gone = False
        self.span = WatchSpan()

    def put(self, engine: FakeRuntime, *events: Event) -> None:
        rows = tuple(to_stored(event, engine.engine_id, NOW_NS) for event in events)
        self.found = EventsFound(events=(*self.found.events, *rows))

    async def find_events(self, wanted, selects, /):
        self.asked.append(wanted)
        if self.gone:
            raise errors.StoreDown("The store does not answer.")
        return self.found

    async def watch_spans(self, engines, /):
        if self.gone:
            raise errors.StoreDown("The store does not answer.")
        return [self.span for _ in engines]


async def listed(runtime, **options) -> EventList:
    return await runtime.run(ListEvents(engine=runtime.ref, **options), call())


def watched(shelf: Shelf) -> tuple[FakeRuntime, Mirror]:
    engine = FakeRuntime("h1", now=lambda: NOW)
    mirror = Mirror(engine, now=lambda: NOW, stored=StoredEvents(shelf))
    mirror.stream_opened(0)
    return engine, mirror


async def test_store_engine_and_memory_are_one_list_without_doubles() -> None:
    shelf = Shelf()
    engine, mirror = watched(shelf)
    web = engine.add("web")
    created, started = engine.ring
    died = engine.happen(EventKind.DIED, web, exit_code="0")
    mirror.add_to_history([died])
    before = msgspec.structs.replace(created, at_ns=1, action="created-long-ago")
    shelf.put(engine, before, created, event_history.explained(died, BY_ANN))
    events = (await listed(mirror)).rows
    assert [event.at_ns for event in events] == [1, created.at_ns, started.at_ns, died.at_ns]
    assert events[-1].attrs["cause_by"] == "slack:T1/ANN"  # another process ran the command
    assert events[-1].subject == web and events[-1].kind is EventKind.DIED


async def test_what_this_process_knows_of_a_cause_is_not_replaced_by_less() -> None:
    shelf = Shelf()
    engine, mirror = watched(shelf)
    died = engine.happen(EventKind.DIED, engine.add("web"), exit_code="0")
    mirror.add_to_history([died])
    mirror.history.set_cause(died, BY_ANN)
    shelf.put(engine, event_history.explained(died, Cause(kind=CauseKind.REQUESTED, text="stopped by a client")))
    assert (await listed(mirror)).rows[-1].attrs["cause_by"] == "slack:T1/ANN"


async def test_what_a_list_found_is_not_shown_beside_the_event_that_another_process_received() -> None:
    shelf = Shelf()
    engine, mirror = watched(shelf)
    web = engine.add("web")
    died = engine.happen(EventKind.DIED, web, exit_code="1")
    removed = engine.happen(EventKind.REMOVED, web)
    late = [msgspec.structs.replace(each, at_ns=each.at_ns + 10**11, origin=Origin.RESYNC) for each in (died, removed)]
    mirror.add_to_history(late)
    shelf.put(engine, died, removed)
    engine.ring.clear()
    assert [event.at_ns for event in (await listed(mirror)).rows] == [died.at_ns, removed.at_ns]
    again = msgspec.structs.replace(died, at_ns=died.at_ns + 5, kind=EventKind.STARTED, action="start")
    shelf.put(engine, again)  # it ran again in between, so the end that the list found is another one
    events = event_history.without_found_again(event_history.merge([died, again], late[:1]))
    assert [event.kind for event in events] == [EventKind.DIED, EventKind.STARTED, EventKind.DIED]
    # Where only ends are asked for, nothing shows whether it ran in between: both are shown.
    assert len((await listed(mirror, actions=("died",))).rows) == 2


async def test_the_history_of_an_engine_that_was_not_contacted_yet_and_stores_nothing_itself_is_found() -> None:
    class Late(FakeRuntime):
        """Its id is known after the first contact."""

        @does(actions.DescribeEngine)
        async def describe_engine(self, action, seconds):
            self.engine_id = "late"
            return await super().describe_engine(action, seconds)

    shelf = Shelf()
    engine = Late("h1", now=lambda: NOW, lacks=("event.list",))
    engine.add("web")
    engine.engine_id = "late"
    shelf.put(engine, *engine.ring)
    engine.engine_id = ""
    events = (await listed(EngineWithHistory(engine, StoredEvents(shelf)))).rows
    assert [event.kind for event in events] == [EventKind.CREATED, EventKind.STARTED]
    # One that does not answer costs nothing but its history.
    engine.engine_id, engine.reachable = "", False
    assert (await listed(EngineWithHistory(engine, StoredEvents(shelf)))).rows is not None


async def test_the_lists_of_one_command_share_one_request() -> None:
    shelf = Shelf()
    reader = StoredEvents(shelf)
    engines = [FakeRuntime(f"h{number}") for number in range(5)]
    fronts = [EngineWithHistory(engine, reader) for engine in engines]
    await asyncio.gather(*(listed(front, since_ns=5) for front in fronts))
    (wanted,) = shelf.asked
    assert wanted.engines == {engine_key(engine.engine_id) for engine in engines}
    await asyncio.gather(listed(fronts[0], since_ns=5), listed(fronts[1], since_ns=6))
    assert len(shelf.asked) == 3


async def test_a_store_that_is_gone_is_said_and_the_rest_is_shown() -> None:
    shelf = Shelf()
    engine, mirror = watched(shelf)
    engine.add("web")
    shelf.gone = True
    answer = await listed(mirror)
    assert len(answer.rows) == 2
    assert answer.notes == ("Events that this process did not see itself may be missing: The store does not answer.",)


async def test_an_engine_that_is_gone_shows_what_is_stored_and_raises_if_nothing_is() -> None:
    shelf = Shelf()
    engine = FakeRuntime("h1")
    front = EngineWithHistory(engine, StoredEvents(shelf))
    engine.add("web")
    events = tuple(engine.ring)
    engine.reachable = False
    with pytest.raises(errors.Unreachable):
        await listed(front)
    shelf.put(engine, *events)
    answer = await listed(front)
    assert len(answer.rows) == 2 and "was asked for more events, and did not answer" in answer.notes[0]


async def test_an_engine_without_events_of_its_own_shows_those_that_were_stored() -> None:
    shelf = Shelf()
    engine = FakeRuntime("h1", lacks=("event.list",))
    front = EngineWithHistory(engine, StoredEvents(shelf))
    assert (await listed(front, coverage=True)).coverage == Coverage()
    engine.add("web")
    shelf.put(engine, *engine.ring)
    answer = await listed(front)
    assert len(answer.rows) == 2 and not answer.notes
    closed = EngineWithHistory(FakeRuntime("h1", allow=["container.*"]), StoredEvents(shelf))
    with pytest.raises(errors.Disallowed):
        await listed(closed)


async def test_a_list_says_which_time_the_engine_the_history_and_this_process_cover() -> None:
    shelf = Shelf()
    engine, mirror = watched(shelf)
    engine.add("web")
    oldest = engine.ring[0].at_ns
    assert (await listed(mirror)).coverage is None  # unless it is asked for
    front = EngineWithHistory(engine, StoredEvents(shelf))
    assert (await listed(front, coverage=True)).coverage == Coverage(remembered_ns=oldest)
    # Beside a running bot, its history counts: `do` and the console read the same store.
    shelf.span = WatchSpan(began_ns=oldest - 10**12, until_ns=time.time_ns(), running=True)
    covered = (await listed(front, coverage=True)).coverage
    assert covered.watched_ns == oldest - 10**12 and not covered.unknown(oldest - 10**11, time.time_ns())
    shelf.gone = True
    assert (await listed(front, coverage=True)).coverage == Coverage(remembered_ns=oldest)
    # A process that watches knows what it received itself, also without the store.
    mirror.replace([], NOW_NS)
    assert mirror.live and mirror.history.complete_since is not None
    mirror.history.complete_since = oldest
    known = (await listed(mirror, coverage=True, since_ns=oldest)).coverage
    assert known.watched_ns == oldest and not known.unknown(oldest, time.time_ns() - 10**9)


async def test_what_the_history_lost_or_removed_is_said_where_it_matters() -> None:
    found = {"cut_until_us": 100, "lost": 12, "lost_until_us": 200, "complete": False}
    engine = FakeRuntime("h1")
    front = EngineWithHistory(engine, StoredEvents(Shelf(**found)))
    notes = (await listed(front)).notes
    assert "the history is full" in notes[0] and notes[1].startswith("12 events until 1970-01-01T00:00:00Z could not")
    assert "Give a longer name." in notes[2]
    assert (await listed(front, since_ns=201_000)).notes == notes[2:]


async def test_hostile_text_and_times_are_stored_harmlessly() -> None:
    engine = FakeRuntime("h1")
    web = engine.add("web")
    hostile = msgspec.structs.replace(
        engine.ring[-1],
        at_ns=NOW_NS * 2,
        subject=msgspec.structs.replace(web, name="a\0b\ud800"),
        attrs={f"k{number}": "x" * 10_000 for number in range(50)},
    )
    row = to_stored(hostile, engine.engine_id, NOW_NS)
    assert row.padded_us == f"{NOW_NS // 1000:016d}" and row.at_ns == str(NOW_NS * 2)
    assert row.name == "ab?" and len(msgspec.json.encode(row)) < 5_000


async def test_an_engines_text_is_stored_without_its_secrets() -> None:
    engine = FakeRuntime("h1")
    failed = engine.happen(
        EventKind.TASK_FAILED, engine.add("web"), action="failed", why="login password=hunter2 failed"
    )
    assert to_stored(failed, engine.engine_id, NOW_NS).attrs["why"] == "login password=•••• failed"


@pytest.mark.parametrize(
    ("typed", "existing", "looked_up"),
    [
        ("web", True, [("web", False, False), ("#", False, False), ("web", False, False)]),
        ("web", False, [("web", True, False)]),
        ("0123abcd", False, [("0123abcd", True, False), ("#0123abcd", False, True)]),
        ("web-*", False, [("web-", False, True)]),
        ("*", False, [("", False, True)]),
        ("web@h1", False, [("web", True, False)]),
        ("#0123", False, [("#0123", False, True)]),
    ],
)
async def test_names_are_looked_up_in_the_index(typed, existing, looked_up) -> None:
    engine = FakeRuntime("h1")
    ref = engine.add("web")
    action = ListEvents(engine=engine.ref, names=((typed, (ref,) if existing else ()),))
    given = [(name.text.replace(ref.id[:12], ""), name.or_prefix, name.is_prefix) for name in names(action)]
    assert given == looked_up


async def test_a_follower_has_the_events_that_happen_while_the_earlier_ones_are_read_once() -> None:
    class Slow(Shelf):
        def __init__(self) -> None:
            super().__init__()
            self.reading, self.read = asyncio.Event(), asyncio.Event()

        async def find_events(self, wanted, selects, /):
            self.reading.set()
            await self.read.wait()
            return await super().find_events(wanted, selects)

    shelf = Slow()
    engine, mirror = watched(shelf)
    web = engine.add("web")
    created, started = engine.ring
    mirror.add_to_history([created, started])
    job = (await mirror.run(ListEvents(engine=engine.ref, since_ns=1, follow=True), call())).job
    await shelf.reading.wait()
    renamed = engine.happen(EventKind.RENAMED, web)
    mirror.add_to_history([renamed])  # the list of the mirror was read before, that of the engine too
    shelf.put(engine, late := msgspec.structs.replace(renamed, at_ns=renamed.at_ns + 1, action="late"))
    shelf.read.set()
    died = msgspec.structs.replace(renamed, at_ns=renamed.at_ns + 2, kind=EventKind.DIED, action="die")
    cursor, lines = "", []
    while len(lines) < 4:
        page = await mirror.run(ReadJob(engine=engine.ref, job=job, cursor=cursor), call())
        cursor, lines = page.cursor, [*lines, *page.lines]
    mirror.add_to_history([late, died])  # the store had the first of them already
    mirror.add_cause(died, BY_ANN)
    lines += (await mirror.run(ReadJob(engine=engine.ref, job=job, cursor=cursor), call())).lines
    seen = [event_followers.decode(line) for line in lines]
    assert [(event.action, event.attrs.get("cause")) for event in seen] == [
        *((event.action, None) for event in (created, started)),
        ("late", None),
        (renamed.action, None),
        ("die", None),
        ("die", CauseKind.REQUESTED),
    ]
    await mirror.aclose()


def names(action: ListEvents) -> list[EventName]:
    return list(stored_events._names(action))


async def test_a_process_that_does_not_watch_notes_who_ends_a_container(monkeypatch) -> None:
    engine = FakeRuntime("h1")
    web = engine.add("web")
    noted = []

    class Notes(Shelf):
        async def record_own_changes(self, *call):
            noted.append(call)
            if self.gone:
                raise errors.StoreDown("The store does not answer.")

    shelf = Notes()
    front = EngineWithHistory(engine, StoredEvents(shelf))
    await front.run(actions.Stop(engine=engine.ref, target=web), call())
    await front.run(actions.Start(engine=engine.ref, target=web), call())
    ((key, ids, value, _),) = noted
    assert (key, ids) == (engine_key(engine.engine_id), {web.id})
    assert msgspec.json.decode(value, type=event_rows.ChangeRecord).who == "ann"
    shelf.gone = True
    assert (await front.run(actions.Stop(engine=engine.ref, target=web), call())).status == "done"
