"""Which runs a log page is of, from the events of a container and from its row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from core import errors
from core.model.actions import ReadLogs
from core.model.containers import Container
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind, EventList, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import LogLine, LogPage, LogRun
from core.ports import Call
from runtimes.inventory import container_runs_in_log

ENGINE = EngineRef(host="h1", kind="docker")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="4f" * 32, name="web")
ROW = Container(
    ref=WEB, image="i", image_id="", command="", state="running", status="", created_at=0.0, labels={}, started_at=130.0
)
LIMIT = datetime.now(UTC) + timedelta(days=1)
CALL = Call(id="c", who="console:ann", deadline=LIMIT, invocation="i")


def ns(seconds):
    return int(seconds * 1_000_000_000)


def happened(seconds, kind, subject=WEB, **attrs):
    return Event(ns(seconds), kind, subject, Origin.LIVE, "container", str(kind), attrs)


def loop(*seconds):
    """Starts at each of the seconds, and ends five seconds later with code 2."""
    return [
        event
        for at in seconds
        for event in (happened(at, EventKind.STARTED), happened(at + 5, EventKind.DIED, exit_code="2"))
    ]


def page(*seconds):
    def stamp(second):
        return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=second)).isoformat()

    return LogPage(lines=tuple(LogLine(at=stamp(second), stream="stdout", text=str(second)) for second in seconds))


class Engine:
    ref = ENGINE
    verbs = frozenset({ListEvents.verb})

    def __init__(self, *events, error=None):
        self.events, self.error, self.asked = events, error, 0

    async def run(self, action, call):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return EventList(rows=tuple(self.events))


def test_a_crash_loop_is_numbered_by_the_engines_count():
    row = msgspec.structs.replace(ROW, restarts=8)
    events = [*loop(100, 110, 120), happened(130, EventKind.STARTED)]
    assert container_runs_in_log.runs_of(events, row) == [
        LogRun(number=6, started_ns=ns(100), ended_ns=ns(105), exit_code=2),
        LogRun(number=7, started_ns=ns(110), ended_ns=ns(115), exit_code=2),
        LogRun(number=8, started_ns=ns(120), ended_ns=ns(125), exit_code=2),
        LogRun(number=9, started_ns=ns(130)),
    ]


def test_a_count_that_a_person_has_reset_numbers_nothing():
    row = msgspec.structs.replace(ROW, restarts=0)
    assert [
        run.number for run in container_runs_in_log.runs_of([*loop(100, 110), happened(130, EventKind.STARTED)], row)
    ] == [0] * 3


def test_without_events_the_row_tells_the_newest_run_and_the_end_before_it():
    row = msgspec.structs.replace(ROW, restarts=3, finished_at=125.0)
    assert container_runs_in_log.runs_of([], row) == [
        LogRun(number=3, ended_ns=ns(125)),
        LogRun(number=4, started_ns=ns(130)),
    ]
    dead = msgspec.structs.replace(ROW, state="exited", restarts=0, finished_at=140.0, exit_code=137, oom_killed=True)
    assert container_runs_in_log.runs_of([], dead) == [
        LogRun(started_ns=ns(130), ended_ns=ns(140), exit_code=137, out_of_memory=True)
    ]
    other = happened(50, EventKind.DIED, msgspec.structs.replace(WEB, id="00"))
    assert len(container_runs_in_log.runs_of([other], dead)) == 1


async def with_runs(engine, answered, row, **more):
    action = ReadLogs(engine=ENGINE, target=WEB, **more)
    return await container_runs_in_log.add_runs(engine, answered, action, CALL, row)


async def test_nothing_is_asked_if_all_lines_are_of_the_newest_run():
    engine = Engine()
    found = await with_runs(engine, page(131, 132), msgspec.structs.replace(ROW, restarts=8))
    assert found.runs == (LogRun(number=9, started_ns=ns(130)),)
    assert engine.asked == 0
    assert (await with_runs(Engine(), page(101), None)).runs == ()


@pytest.mark.parametrize("error", [errors.Unreachable("gone"), errors.NotPermitted("no")])
async def test_a_log_is_shown_whatever_the_events_are(error):
    row = msgspec.structs.replace(ROW, finished_at=125.0, restarts=1)
    found = await with_runs(Engine(error=error), page(101, 131), row)
    assert [run.ended_ns for run in found.runs] == [ns(125), 0]
    assert len(found.lines) == 2


async def test_of_a_log_in_whole_seconds_no_line_of_the_previous_run_is_left_out():
    row = msgspec.structs.replace(ROW, finished_at=120.8, restarts=2)
    ends = [happened(110.2, EventKind.STARTED), happened(120.3, EventKind.DIED), happened(120.4, EventKind.STARTED)]
    engine = Engine(*ends, happened(120.8, EventKind.DIED), happened(120.9, EventKind.STARTED))
    found = await with_runs(engine, page(111, 120), row, previous=True)
    assert [line.text for line in found.lines] == ["120"]
    assert "whole seconds" in found.notes[0]


async def test_the_previous_run_is_cut_at_the_end_before_it():
    row = msgspec.structs.replace(ROW, finished_at=125.0, restarts=2)
    engine = Engine(*loop(110, 120), happened(130, EventKind.STARTED))
    found = await with_runs(engine, page(111, 114, 121, 124), row, previous=True)
    assert [line.text for line in found.lines] == ["121", "124"]
    assert [run.ended_ns for run in found.runs] == [ns(125)]
    unknown = await with_runs(Engine(), page(111, 121), row, previous=True)
    assert len(unknown.lines) == 2
    assert "not known where that run began" in unknown.notes[0]
