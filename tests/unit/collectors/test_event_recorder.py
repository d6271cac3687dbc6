"""Events on their way to the history: which, how often, and what a store that is gone costs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from structlog.testing import capture_logs

from collectors import event_recorder
from collectors.event_recorder import EventRecorder
from core import errors
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.store.records import StoredEvent
from runtimes.inventory import event_history
from runtimes.inventory.event_rows import ChangeRecord

ENGINE = EngineRef(host="h1", kind="docker")
NOW_NS = 1_800_000_000 * 1_000_000_000


def event(at: int, kind: EventKind = EventKind.STARTED, action: str = "start", type_: str = "container", **attrs: str):
    ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="1" * 64, name="web")
    return Event(NOW_NS - 10**9 + at, kind, ref, Origin.LIVE, type_, action, attrs)


class Writer:
    """A store that may refuse, or not answer."""

    def __init__(self) -> None:
        self.writes: list[list[StoredEvent]] = []
        self.lost: list[tuple[int, int]] = []
        self.gone = False
        self.calls: dict[str, bytes] = {}
        self.silent = False

    async def record_events(self, events: Iterable[StoredEvent], /, *, lost: int, lost_until_us: int) -> int:
        if self.silent:
            await asyncio.Event().wait()
        if self.gone:
            raise errors.StoreDown("The store does not answer.")
        self.writes.append(list(events))
        self.lost.append((lost, lost_until_us))
        return len(self.writes[-1])

    async def take_own_changes(self, engine: str, containers: Sequence[str], /) -> dict[str, bytes]:
        return {container: self.calls.pop(container) for container in containers if container in self.calls}


class Line:
    def __init__(self) -> None:
        self.store, self.dropped = Writer(), 0
        self.recorder = EventRecorder(self.store, lambda: "engine-1", self.count, now_ns=lambda: NOW_NS)

    def count(self, number: int) -> None:
        self.dropped += number


async def test_only_the_life_of_things_is_stored_and_each_event_once() -> None:
    line = Line()
    line.recorder.add([event(1), event(2, EventKind.OTHER, "exec_start"), event(3, EventKind.HEALTH, "health_status")])
    line.recorder.add([event(4, EventKind.OTHER, "pull", "image"), event(5, EventKind.OTHER, "mount", "image")])
    line.recorder.add([event(6, EventKind.OTHER, "connect", "network"), event(1)])
    await line.recorder.write()
    assert [[row.action for row in rows] for rows in line.store.writes] == [["start", "pull"]]
    assert not len(line.recorder)
    await line.recorder.write()
    assert len(line.store.writes) == 1


async def test_a_cause_that_comes_before_the_write_is_written_with_its_end_and_a_later_one_after_it() -> None:
    line, died = Line(), event(1, EventKind.DIED, "die", exit_code="1")
    cause = Cause(kind=CauseKind.REQUESTED, text="stop through Quarterdeck", by="ann")
    explained = event_history.explained(died, cause)
    line.recorder.add([died])
    line.recorder.add([explained])
    await line.recorder.write()
    line.recorder.add([explained])
    await line.recorder.write()
    assert [[(row.attrs.get("cause_by"), row.known) for row in rows] for rows in line.store.writes] == [
        [("ann", 3)],
        [("ann", 3)],
    ]


@pytest.mark.parametrize(
    ("noted_ago", "cause", "text", "by"),
    [
        (2, "requested", "stop through Quarterdeck", "console:ada"),
        (2, "replaced", "replaced by web", "console:ada"),
        (2, "crashed", "crashed", None),
        (-60, "requested", "stopped by a client of its engine", None),  # it was noted after the end
    ],
)
async def test_the_requester_of_a_process_that_does_not_watch_is_added_once(noted_ago, cause, text, by) -> None:
    line, died = Line(), event(1, EventKind.DIED, "die", exit_code="0")
    said = "stopped by a client of its engine" if cause == "requested" else text
    died = event_history.explained(died, Cause(kind=CauseKind(cause), text=said))
    now = NOW_NS / 1e9
    call = ChangeRecord(verb="container.stop", who="console:ada", at=now - noted_ago, until=now + 60)
    line.store.calls["1" * 64] = msgspec.json.encode(call)
    line.recorder.add([died])
    await line.recorder.write()
    ((row,),) = line.store.writes
    assert (row.attrs["cause_text"], row.attrs.get("cause_by")) == (text, by)
    assert bool(line.store.calls) == (cause == "crashed")


async def test_while_the_store_is_gone_events_wait_within_a_limit_and_the_loss_is_counted(monkeypatch) -> None:
    monkeypatch.setattr(event_recorder, "MAX_WAITING", 5)
    line = Line()
    line.store.gone = True
    with capture_logs() as logs:
        for number in range(8):
            line.recorder.add([event(number)])
            await line.recorder.write()
        assert (len(line.recorder), line.dropped) == (5, 3)
        line.store.gone = False
        await line.recorder.write()
    assert [int(row.at_ns) - NOW_NS + 10**9 for row in line.store.writes[0]] == [3, 4, 5, 6, 7]
    assert line.store.lost == [(3, (NOW_NS - 10**9 + 2) // 1000)]
    assert [entry["event"] for entry in logs] == ["Events could not be stored yet.", "The waiting events were stored."]
    line.recorder.add([event(9)])
    await line.recorder.write()
    assert line.store.lost[-1][0] == 0


async def test_the_events_of_health_probes_take_no_place(monkeypatch) -> None:
    monkeypatch.setattr(event_recorder, "MAX_WAITING", 5)
    line = Line()
    line.recorder.add([event(1)])
    line.recorder.add([event(number, EventKind.OTHER, "exec_start", "container") for number in range(2, 20)])
    assert (len(line.recorder), line.dropped) == (1, 0)


async def test_a_burst_is_written_in_parts(monkeypatch) -> None:
    monkeypatch.setattr(event_recorder, "MAX_WRITTEN", 3)
    line = Line()
    line.recorder.add([event(number) for number in range(7)])
    for _ in range(3):
        await line.recorder.write()
    assert [len(rows) for rows in line.store.writes] == [3, 3, 1]


@pytest.mark.looptime
async def test_it_writes_at_most_once_a_second_and_once_more_when_it_stops() -> None:
    line = Line()
    task = asyncio.get_running_loop().create_task(line.recorder.run())
    for number in range(25):  # ten a second
        line.recorder.add([event(number)])
        await asyncio.sleep(0.1)
    assert len(line.store.writes) == 3
    line.recorder.add([event(99)])
    task.cancel()
    await asyncio.wait([task])
    assert sum(map(len, line.store.writes)) == 26
    assert len(line.store.writes) == 4


@pytest.mark.looptime
async def test_a_store_that_does_not_answer_does_not_hold_the_stop() -> None:
    line = Line()
    line.store.silent = True
    line.recorder.add([event(1)])
    task = asyncio.get_running_loop().create_task(line.recorder.run())
    await asyncio.sleep(1)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=10)
    assert done and len(line.recorder) == 1


async def test_nothing_is_written_before_the_engine_has_an_id() -> None:
    store = Writer()
    recorder = EventRecorder(store, lambda: "", lambda number: None)
    recorder.add([event(1)])
    await recorder.write()
    assert not store.writes and len(recorder) == 1
