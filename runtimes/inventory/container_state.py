"""Computes a container's next state from an event, a row of a list or an inspection.

A list has names, states, images, labels and ports. Only an inspection has times, restart counts and whether the
container was OOM-killed. An event has its own time and what it changed. Health is stored only while a container is up.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.model import containers
from core.model.containers import Container
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

# Events after which an inspection shows nothing that the event did not say.
COMPLETE_EVENTS = frozenset({EventKind.KILLED, EventKind.STOPPED, EventKind.RESTARTED, EventKind.RENAMED})
# The state of a container before such an event, where nothing else is known of it.
_STATE_BEFORE = {
    EventKind.CREATED: "created",
    EventKind.STARTED: "created",
    EventKind.UNPAUSED: "paused",
    EventKind.STOPPED: "exited",
}


def apply_event(row: Container, event: Event) -> Container:
    """`row` after `event`. The same object where nothing changes."""
    kind, seconds = event.kind, event.at_ns / 1e9
    changes: dict[str, Any] = {}
    if kind is _STARTED:
        changes = {
            "state": "running",
            "started_at": seconds,
            "exit_code": None,
            "oom_killed": False,
            "health": "starting" if row.health else "",
        }
    elif kind is _DIED:
        code = event.attrs.get("exit_code", "")
        changes = {
            "state": "exited",
            "health": "",
            "finished_at": seconds,
            "exit_code": int(code) if code.lstrip("-").isdecimal() else None,
        }
    elif kind is _OOM:
        changes = {"oom_killed": True}
    elif kind is _HEALTH:
        # Some engines report only that a check ran; an inspection shows its result.
        changes = {"health": event.attrs["health"]} if "health" in event.attrs else {}
    elif kind is _PAUSED:
        changes = {"state": "paused"}
    elif kind is _UNPAUSED:
        changes = {"state": "running"}
    elif kind is _RENAMED:
        changes = {"ref": event.subject}
    if all(getattr(row, name) == value for name, value in changes.items()):
        return row
    return msgspec.structs.replace(row, **changes)


def from_first_event(event: Event) -> Container:
    """A container of which nothing is known but this event."""
    return Container(
        ref=event.subject,
        image=event.attrs.get("image", ""),
        image_id="",
        command="",
        state=_STATE_BEFORE.get(event.kind, "running"),
        status="",
        created_at=event.at_ns / 1e9,
        labels={},
    )


def keep_newer_state(stored: Container, row: Container) -> Container:
    """`row` of a list, with the state that later events reported."""
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
    )


def keep_inspected_details(stored: Container, row: Container) -> Container:
    """`row` of a list, with what an earlier inspection found and can still be true."""
    same = stored.state == row.state
    return msgspec.structs.replace(
        row,
        started_at=stored.started_at if same else None,
        finished_at=stored.finished_at if same else None,
        exit_code=stored.exit_code if row.exit_code is None and same else row.exit_code,
        restarts=stored.restarts,
        oom_killed=stored.oom_killed if same else None,
    )


def apply_inspection(row: Container, found: Container) -> Container:
    """`row` with what only an inspection shows, and with its state, which is newer. Everything else stays as the list
    words it, so that lists and inspections in turn do not look like changes."""
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
    )
