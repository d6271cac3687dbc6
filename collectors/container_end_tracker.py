"""Collects the evidence about each end of a container, waits until the evidence is complete, and reports the cause.

Some evidence comes after the end: Docker's `stop` event, the container that takes the old one's place, the loss of the
event stream when an engine stops. So a cause is reported SETTLE_NS after the end; if a client of the engine requested
the end, it is reported only after REQUEST_SETTLE_NS. Each end is reported once. All evidence is limited: the events per
container, and the number of containers.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field

import msgspec

from collectors.container_end_causes import REPORTING_ENGINES, SECOND, EndEvidence, explain, is_certain
from core import unexpected_errors
from core.lazy_dataclass import dataclass
from core.model.containers import LIVE_STATES, SWARM_SERVICE_LABEL, Container
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind
from core.model.refs import Kind
from runtimes.inventory.container_end_records import RECORDED, EndRecords
from runtimes.inventory.own_changes import OwnChange, OwnChanges

SETTLE_NS = 2 * SECOND
REQUEST_SETTLE_NS = 12 * SECOND
# The event stream of an engine that stops is cut after its last container has ended: at once by Docker 20.10, after six
# seconds by Docker 26, which waits five seconds for its clients.
ENGINE_STOP_WINDOW_NS = 8 * SECOND
RESTART_WINDOW_NS = 10 * SECOND  # between a start and the notice that it was a restart
# The new container is created before the old one is stopped (compose, Swarm), or soon after its end.
REPLACED_BEFORE_NS, REPLACED_AFTER_NS = 120 * SECOND, 15 * SECOND
MAX_CONTAINERS = 4096
MAX_EVENTS = 32  # for each container
MAX_PENDING = 20_000  # ends; beyond it, the oldest are reported before their evidence is complete
MAX_REPORTS = 500  # at once, so that the event loop is not held
EVIDENCE = frozenset(
    {
        EventKind.CREATED,
        EventKind.STARTED,
        EventKind.DIED,
        EventKind.OOM,
        EventKind.REMOVED,
        EventKind.RENAMED,
        EventKind.RESTARTED,
        EventKind.STOPPED,
        EventKind.KILLED,
    }
)
# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_CREATED, _DIED, _OTHER, _RENAMED, _RESTARTED, _STARTED = (
    EventKind.CREATED,
    EventKind.DIED,
    EventKind.OTHER,
    EventKind.RENAMED,
    EventKind.RESTARTED,
    EventKind.STARTED,
)
_TASK_NAME = "com.docker.swarm.task.name"


class _Pending(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """An end whose cause is not reported yet. `seen_ns`: our time when it was observed. `row`: the container as it was
    known then. `run`: its events."""

    died: Event
    seen_ns: int
    row: Container | None
    run: list[Event]
    call: OwnChange | None
    started_again: bool = False
    engine_stopped: bool = False


@dataclass(slots=True, kw_only=True)
class _Gap:
    """A time without an event stream. `running`: the containers that ran when it began. `ended`: those of them that
    ended in it."""

    from_ns: int
    until_ns: int = 0
    running: frozenset[str] = frozenset()
    ended: set[str] = field(default_factory=set)


class EndTracker:
    """Tracks the ends on one engine. `containers`: the containers by id, as the mirror caches them. `own_changes`: the
    changes by Quarterdeck. `records` receives each container's events and causes. `report` receives each end with its
    cause, and the container as it was known last. `last_known` returns a container that the mirror has removed or not
    inspected. `report_early` receives an end at once whose cause is certain; `report` receives it later too. `now_ns`:
    our clock."""

    def __init__(
        self,
        containers: Callable[[], Mapping[str, Container]],
        report: Callable[[Event, Cause, Container | None], None],
        own_changes: OwnChanges,
        records: EndRecords,
        *,
        last_known: Callable[[str], Container | None] | None = None,
        report_early: Callable[[Event, Cause, Container | None], None] | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._containers = containers
        self._report = report
        self._own_changes = own_changes
        self._records = records
        self._last_known = last_known or (lambda container_id: None)
        self._report_early = report_early
        self._now_ns = now_ns
        self._runs: OrderedDict[str, list[Event]] = OrderedDict()
        self._names: OrderedDict[str, Event] = OrderedDict()  # the newest container that got each name
        # Ends whose cause is not reported yet, the oldest first: those that were not looked at, and those that a client
        # of the engine requested.
        self._new: deque[_Pending] = deque()
        self._requested: deque[_Pending] = deque()
        self._last: dict[str, _Pending] = {}  # the newest of these of each container
        self._awaited: set[tuple[int, str, str, str]] = set()  # their identities
        self._gap: _Gap | None = None
        self._bugs = unexpected_errors.BugReporter()

    @property
    def pending(self) -> bool:
        return bool(self._new or self._requested)

    def awaits_cause(self, died: Event) -> bool:
        """Whether the cause of this end is not reported yet, and will be."""
        return died.identity() in self._awaited

    def observe(self, events: Sequence[Event]) -> None:
        """Takes a batch, in the engine's order, after the mirror has applied it."""
        container, evidence, other = Kind.CONTAINER, EVIDENCE, _OTHER
        for event in events:
            kind = event.kind
            is_evidence = event.action == "cleanup" if kind is other else kind in evidence
            if is_evidence and event.subject.kind is container:
                self._observe(event)

    def settle(self) -> bool:
        """Reports the causes of the ends whose evidence is complete, at most MAX_REPORTS. Returns whether more are due
        already."""
        now = self._now_ns()
        due: list[_Pending] = []
        for waiting, seconds in ((self._requested, REQUEST_SETTLE_NS), (self._new, SETTLE_NS)):
            while waiting and len(due) < MAX_REPORTS and (now - waiting[0].seen_ns >= seconds or self._too_many()):
                due.append(waiting.popleft())
        if not due:
            return False
        successors = _by_place(self._containers().values())
        for end in due:
            cause = self._explain_safely(end, successors)
            waits = cause.kind is CauseKind.REQUESTED and not cause.by and now - end.seen_ns < REQUEST_SETTLE_NS
            if waits and not self._too_many():
                self._requested.append(end)
            else:
                if self._last.get(end.died.subject.id) is end:
                    del self._last[end.died.subject.id]
                self._awaited.discard(end.died.identity())
                self._records.set_cause(end.died, cause)
                self._report(end.died, cause, self._containers().get(end.died.subject.id) or end.row)
        return len(due) == MAX_REPORTS

    def _too_many(self) -> bool:
        return len(self._new) + len(self._requested) >= MAX_PENDING

    def stream_lost(self) -> None:
        """Records that the event stream ended. If every container had just ended, the engine stopped them."""
        if self._gap is not None and not self._gap.until_ns:
            return
        now = self._now_ns()
        running = frozenset(key for key, row in self._containers().items() if row.state in LIVE_STATES)
        self._gap = _Gap(from_ns=now, running=running)
        if not running:
            for end in (*self._new, *self._requested):
                end.engine_stopped = now - end.died.at_ns <= ENGINE_STOP_WINDOW_NS

    def stream_opened(self) -> None:
        if self._gap is not None and not self._gap.until_ns:
            self._gap.until_ns = self._now_ns()

    def _observe(self, event: Event) -> None:
        container_id, kind = event.subject.id, event.kind
        if kind in RECORDED:
            self._records.observe(event)
        run = self._runs.get(container_id)
        if run is None:
            run = self._runs[container_id] = []
            if len(self._runs) > MAX_CONTAINERS:
                self._runs.popitem(last=False)
        if kind is _STARTED:
            run.clear()
        elif kind is _CREATED or kind is _RENAMED:
            self._names[event.subject.name] = event
            self._names.move_to_end(event.subject.name)
            if len(self._names) > MAX_CONTAINERS:
                self._names.popitem(last=False)
        if (end := self._last.get(container_id)) is not None:
            end.started_again = end.started_again or kind is _STARTED
            # Docker reports `restart` after the new start. All other events then belong to the new run.
            if (not end.started_again or kind is _RESTARTED) and len(end.run) < 2 * MAX_EVENTS:
                end.run.append(event)
        if not (kind is _RESTARTED and run and _is_notice_of_start(event, run[-1])):
            run.append(event)
            if len(run) > MAX_EVENTS:
                del run[0]
        if kind is _DIED:
            self._ended(event, run.copy())

    def _ended(self, died: Event, run: list[Event]) -> None:
        if self._gap is not None and self._in_gap(died):
            self._gap.ended.add(died.subject.id)
        row = self._containers().get(died.subject.id) or self._last_known(died.subject.id)
        call = self._own_changes.take(died.subject.id)
        end = _Pending(died=died, seen_ns=self._now_ns(), row=row, run=run, call=call)
        self._new.append(end)
        self._awaited.add(died.identity())
        self._last[died.subject.id] = end
        if self._report_early is not None and self._is_certain(end):
            self._report_early(died, self._explain_safely(end, {}), row)

    def _is_certain(self, end: _Pending) -> bool:
        """Whether the cause is certain already. It is not if the engine may be stopping, which ends all containers."""
        if self._gap is not None and self._in_gap(end.died):
            return False
        if not is_certain(EndEvidence(died=end.died, run=end.run, container=end.row, call=end.call)):
            return False
        ended_id = end.died.subject.id
        for container_id, row in self._containers().items():
            if row.state in LIVE_STATES and container_id != ended_id:
                return True
        return False

    def _in_gap(self, died: Event) -> bool:
        gap = self._gap
        return gap is not None and died.at_ns >= gap.from_ns and (not gap.until_ns or died.at_ns <= gap.until_ns)

    def _explain_safely(self, end: _Pending, successors: Mapping[str, Container]) -> Cause:
        try:
            return self._explain(end, successors)
        except Exception as error:  # a bug about one end must not prevent the others from being reported
            ref = self._bugs.report(error, "explain the end of a container")
            return Cause(kind=CauseKind.UNKNOWN, text=f"ended, and a bug prevented its explanation (ref {ref})")

    def _explain(self, end: _Pending, successors: Mapping[str, Container]) -> Cause:
        row = self._containers().get(end.died.subject.id) or end.row
        gap = self._gap
        none_survived = gap is not None and self._in_gap(end.died) and bool(gap.running) and gap.running <= gap.ended
        return explain(
            EndEvidence(
                died=end.died,
                run=end.run,
                container=row,
                call=end.call,
                replaced_by=self._successor(end.died, row, successors),
                engine_lost=end.engine_stopped or none_survived,
            )
        )

    def _successor(self, died: Event, row: Container | None, successors: Mapping[str, Container]) -> str:
        """Returns the name of the container that took the place of the ended one: it has the same name, or it is the
        same replica of the same Swarm service."""
        named = self._names.get(died.subject.name)
        if named is not None and named.subject.id != died.subject.id and _is_near(named.at_ns, died.at_ns):
            return named.subject.name
        found = successors.get(_place(row)) if row is not None and _place(row) else None
        if found is not None and found.ref.id != died.subject.id and _is_near(int(found.created_at * 1e9), died.at_ns):
            return found.ref.name
        return ""


def _is_notice_of_start(restarted: Event, before: Event) -> bool:
    """Whether a `restart` only says that the start before it was a restart. Docker sends it after the new start, so it
    explains the end before that, and no later one. Podman sends it before the end."""
    near = restarted.at_ns - before.at_ns <= RESTART_WINDOW_NS
    return restarted.subject.engine.kind in REPORTING_ENGINES and before.kind is _STARTED and near


def _is_near(created_ns: int, died_ns: int) -> bool:
    return -REPLACED_BEFORE_NS <= created_ns - died_ns <= REPLACED_AFTER_NS


def _by_place(rows: Iterable[Container]) -> dict[str, Container]:
    """Returns the youngest container at each place of a Swarm's services."""
    found: dict[str, Container] = {}
    for row in rows:
        place = _place(row)
        if place and (place not in found or row.created_at > found[place].created_at):
            found[place] = row
    return found


def _place(row: Container) -> str:
    """Returns the service and the slot of a Swarm's container: its task is named `SERVICE.SLOT.TASK`."""
    service = row.labels.get(SWARM_SERVICE_LABEL)
    return f"{service}.{row.labels.get(_TASK_NAME, '').rpartition('.')[0].rpartition('.')[2]}" if service else ""
