"""Computes a container's new state from its old state and one event, one row of a list, or one inspection.

A row of a list contains the name, state, image, labels and ports. Only an inspection contains the times, the restart
count, and whether the container was OOM-killed. An event contains its own time and the change. Health is stored only
while a container runs or is paused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from core.model import containers
from core.model.containers import Container, Containers
from core.model.events import Event, EventKind

# Looked up once: on its class, a member of an enum costs more than everything else in `apply_event` (Python 3.11).
_DIED, _HEALTH, _OOM, _PAUSED, _RENAMED, _STARTED, _UNPAUSED = (
    EventKind.DIED,
    EventKind.HEALTH,
    EventKind.OOM,
    EventKind.PAUSED,
    EventKind.RENAMED,
    EventKind.STARTED,
    EventKind.UNPAUSED,
)

_EXIT_CODE = re.compile(r"-?[0-9]{1,10}")
# Events that contain every change, so the container need not be inspected after them.
COMPLETE_EVENTS = frozenset({EventKind.KILLED, EventKind.STOPPED, EventKind.RESTARTED, EventKind.RENAMED})
# The state of a container before its first event.
_STATE_BEFORE = {
    EventKind.CREATED: "created",
    EventKind.STARTED: "created",
    EventKind.UNPAUSED: "paused",
    EventKind.STOPPED: "exited",
}


def apply_event(row: Container, event: Event) -> Container:
    """Returns `row` as it is after `event`. Returns the same object if nothing changes."""
    kind, changed = event.kind, row
    if kind is _STARTED:
        changed = msgspec.structs.replace(
            row,
            state="running",
            started_at=event.at_ns / 1e9,
            exit_code=None,
            oom_killed=False,
            stopped_by_client=False,
            health="starting" if row.health else "",
        )
    elif kind is _DIED:
        code = event.attrs.get("exit_code", "")
        changed = msgspec.structs.replace(
            row,
            state="exited",
            health="",
            finished_at=event.at_ns / 1e9,
            exit_code=int(code) if _EXIT_CODE.fullmatch(code) else None,
        )
    elif kind is _OOM:
        changed = msgspec.structs.replace(row, oom_killed=True)
    elif kind is _HEALTH and "health" in event.attrs:
        # Some engines report only that a check ran; an inspection shows its result.
        changed = msgspec.structs.replace(row, health=event.attrs["health"])
    elif kind is _PAUSED:
        changed = msgspec.structs.replace(row, state="paused")
    elif kind is _UNPAUSED:
        changed = msgspec.structs.replace(row, state="running")
    elif kind is _RENAMED:
        changed = msgspec.structs.replace(row, ref=event.subject)
    return row if changed is row or changed == row else changed


def from_first_event(event: Event) -> Container:
    """Builds a container from its first event, before it was listed or inspected. Its labels are those of the event,
    if the event has them. Permissions never depend on them."""
    return Container(
        ref=event.subject,
        image=event.attrs.get("image", ""),
        image_id="",
        command="",
        state=_STATE_BEFORE.get(event.kind, "running"),
        status="",
        created_at=event.at_ns / 1e9,
        labels=event.labels or {},
    )


def keep_newer_state(stored: Container, row: Container) -> Container:
    """Returns `row` of a list, but with the state in `stored`, which later events reported."""
    return msgspec.structs.replace(
        row,
        ref=stored.ref,
        state=stored.state,
        health=stored.health,
        started_at=stored.started_at,
        finished_at=stored.finished_at,
        exit_code=stored.exit_code,
        restarts=stored.restarts if row.restarts is None else row.restarts,
        oom_killed=stored.oom_killed,
        stopped_by_client=stored.stopped_by_client,
        auto_remove=stored.auto_remove if row.auto_remove is None else row.auto_remove,
    )


def keep_inspected_details(stored: Container, row: Container) -> Container:
    """Returns `row` of a list, with those details of an earlier inspection that can still be true."""
    same = stored.state == row.state
    return msgspec.structs.replace(
        row,
        started_at=stored.started_at if same else None,
        finished_at=stored.finished_at if same else None,
        exit_code=stored.exit_code if row.exit_code is None and same else row.exit_code,
        restarts=stored.restarts,
        oom_killed=stored.oom_killed if same else None,
        stopped_by_client=same and stored.stopped_by_client,
        auto_remove=stored.auto_remove if row.auto_remove is None else row.auto_remove,
    )


def add_known_details(listed: Containers, stored: Mapping[str, Container]) -> Containers:
    """Returns a list with what never changes in a container and only an inspection shows."""
    rows = []
    for row in listed.rows:
        known = stored.get(row.ref.id) if row.auto_remove is None else None
        rows.append(row if known is None else msgspec.structs.replace(row, auto_remove=known.auto_remove))
    return msgspec.structs.replace(listed, rows=tuple(rows))


def apply_inspection(row: Container, found: Container) -> Container:
    """Returns `row` with the details and the newer state of the inspection `found`. Everything else remains as in the
    list, because lists and inspections write some fields differently, which must not look like a change."""
    return msgspec.structs.replace(
        row,
        ref=found.ref,
        state=found.state,
        health=found.health if found.state in containers.LIVE_STATES else "",
        ports=row.ports if sorted(map(str, row.ports)) == sorted(map(str, found.ports)) else found.ports,
        started_at=found.started_at,
        finished_at=found.finished_at,
        exit_code=found.exit_code,
        restarts=found.restarts,
        oom_killed=found.oom_killed,
        stopped_by_client=found.stopped_by_client,
        auto_remove=found.auto_remove,
    )
