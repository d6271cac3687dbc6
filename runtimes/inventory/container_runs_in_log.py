"""Adds to a page of a container's log the runs that its lines belong to, with the begin and end of each run.

An engine that writes all runs into one log (Docker, Podman) does not mark where a run ends. The container's row
contains its newest run. The events of its starts and ends, from the engine and from the stored history, show the
others. If something cannot be read in a short time, it is left out. Nothing is requested if all lines belong to the
newest run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from core import errors
from core.model.actions import ReadLogs
from core.model.containers import LIVE_STATES, Container
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind, EventList
from core.model.results import LogLine, LogPage, LogRun
from core.ports import Call, Runtime
from runtimes.formats import timestamps

SECONDS = 1.0
MAX_EVENTS = 400
SECOND = 1_000_000_000
# The times of one end, by its event and by an inspection, differ by less.
SAME_NS = SECOND
WHOLE_SECONDS = (
    "This log has times in whole seconds, so lines of the runs before and after from the same second may be here, too."
)


async def add_runs(runtime: Runtime, page: LogPage, action: ReadLogs, call: Call, row: Container | None) -> LogPage:
    """Returns the page with its runs. `row`: the container as it was inspected last. Raises nothing of core.errors."""
    first_ns = next(filter(None, (timestamps.parse_nanoseconds_or_none(line.at) for line in page.lines)), None)
    if page.runs or row is None or first_ns is None or row.started_at is None:
        return page
    runs: Sequence[LogRun]
    if row.state in LIVE_STATES and int(row.started_at * 1e9) <= first_ns:
        runs = (LogRun(number=(row.restarts or 0) + 1, started_ns=int(row.started_at * 1e9)),)
    else:
        runs = runs_of(await _events(runtime, action, call, first_ns), row)
    page = msgspec.structs.replace(page, runs=tuple(runs))
    return _only_last_ended(page) if action.previous else page


def runs_of(events: Iterable[Event], row: Container) -> Sequence[LogRun]:
    """Returns the known runs of a container, the oldest first. `events`: its starts and ends, sorted by time."""
    runs: list[LogRun] = []
    for event in events:
        if event.subject.id != row.ref.id:
            continue
        if event.kind is EventKind.STARTED:
            runs.append(LogRun(started_ns=event.at_ns))
        elif event.kind is EventKind.DIED:
            code = event.attrs.get("exit_code", "")
            begun = runs.pop() if runs and not runs[-1].ended_ns else LogRun()
            runs.append(
                msgspec.structs.replace(
                    begun,
                    ended_ns=event.at_ns,
                    exit_code=int(code) if code.lstrip("-").isdecimal() else None,
                    out_of_memory=event.attrs.get("cause") == "out_of_memory",
                )
            )
    runs = _with_newest(runs, row)
    # A restart by a person resets the engine's count, so a count that is too low says nothing.
    last = (row.restarts or 0) + 1
    numbered = row.restarts is not None and last >= len(runs) > 0 and last > 1
    return [
        msgspec.structs.replace(run, number=last - len(runs) + 1 + at) if numbered else run
        for at, run in enumerate(runs)
    ]


def _with_newest(runs: list[LogRun], row: Container) -> list[LogRun]:
    """Adds what the row tells of the newest run, and of the end before it."""
    started, ended = (int((at or 0.0) * 1e9) for at in (row.started_at, row.finished_at))
    if row.state in LIVE_STATES:
        if ended and ended < started and not any(abs(run.ended_ns - ended) < SAME_NS for run in runs):
            runs = [run for run in runs if run.ended_ns or run.started_ns > ended]
            runs = sorted([*runs, LogRun(ended_ns=ended)], key=lambda run: run.ended_ns or run.started_ns)
        if not runs or runs[-1].ended_ns:
            runs.append(LogRun(started_ns=started))
    elif ended and not (runs and runs[-1].ended_ns > ended - SAME_NS):
        begun = runs.pop() if runs and not runs[-1].ended_ns else LogRun(started_ns=started)
        memory = bool(row.oom_killed)
        runs.append(msgspec.structs.replace(begun, ended_ns=ended, exit_code=row.exit_code, out_of_memory=memory))
    return runs


async def _events(runtime: Runtime, action: ReadLogs, call: Call, first_ns: int) -> Sequence[Event]:
    if ListEvents.verb not in runtime.verbs:
        return ()
    wanted: ListEvents = ListEvents(
        engine=action.engine,
        since_ns=first_ns - SAME_NS,
        limit=MAX_EVENTS,
        types=("container",),
        actions=(str(EventKind.STARTED), str(EventKind.DIED)),
        names=((action.target.name, (action.target,)),),
    )
    found: Any = None
    with contextlib.suppress(errors.QuarterdeckError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            found = await runtime.run(wanted, call)
    return found.rows if isinstance(found, EventList) else ()


def _only_last_ended(page: LogPage) -> LogPage:
    """Returns the lines of the newest run that has ended. The page has no lines after its end."""
    at = max((number for number, run in enumerate(page.runs) if run.ended_ns), default=-1)
    if at < 0:
        return page
    if at:
        begin = page.runs[at - 1].ended_ns
    elif page.runs[at].started_ns:
        begin = page.runs[at].started_ns - SAME_NS
    else:
        note = "It is not known where that run began, so these lines may be of runs before it, too."
        return msgspec.structs.replace(page, runs=page.runs[at : at + 1], notes=(*page.notes, note))
    lines = tuple(line for line in page.lines if _latest_ns(line) > begin)
    notes = (WHOLE_SECONDS,) if any("." not in line.at for line in lines) else ()
    return msgspec.structs.replace(page, lines=lines, runs=page.runs[at : at + 1], notes=(*page.notes, *notes))


def _latest_ns(line: LogLine) -> int:
    """The latest time at which the line may have been written. Podman tells only the second."""
    return _ns(line) + (0 if "." in line.at else SECOND - 1)


def _ns(line: LogLine) -> int:
    return timestamps.parse_nanoseconds_or_none(line.at) or 0
