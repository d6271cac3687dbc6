"""One container before and after something was heard of it: an event, a row of a list, an inspection. Pure functions.

A list knows names, states, images, labels and ports; only an inspection knows times, restart counts and whether memory
ran out; an event knows its own time and what it changed. Health counts only while a container is up.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.model import containers
from core.model.containers import Container
from core.model.events import Event, EventKind

# Looked up once: on its class, a member of an enum costs more than all else that `after` does (Python 3.11).
_DIED, _HEALTH, _OOM, _PAUSED, _RENAMED, _STARTED, _UNPAUSED = (
    EventKind.DIED,
    EventKind.HEALTH,
    EventKind.OOM,
    EventKind.PAUSED,
    EventKind.RENAMED,
    EventKind.STARTED,
    EventKind.UNPAUSED,
)

# Events after which an inspection can show nothing that the event did not say.
NOTHING_TO_SEE = frozenset({EventKind.KILLED, EventKind.STOPPED, EventKind.RESTARTED, EventKind.RENAMED})
# What a container must be for this to happen to it; only for one never heard of before.
_STATE_BEFORE = {
    EventKind.CREATED: "created",
    EventKind.STARTED: "created",
    EventKind.UNPAUSED: "paused",
    EventKind.STOPPED: "exited",
}


def newborn(event: Event) -> Container:
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


def after(row: Container, event: Event) -> Container:
    """`row` after `event`; the same object where nothing changes."""
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
        # Some engines tell that a check was made, not what it found: an inspection does.
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


def with_state_of(known: Container, row: Container) -> Container:
    """`row` of a list, its state as events told it since."""
    return msgspec.structs.replace(
        row,
        ref=known.ref,
        state=known.state,
        health=known.health,
        started_at=known.started_at,
        finished_at=known.finished_at,
        exit_code=known.exit_code,
        restarts=known.restarts if row.restarts is None else row.restarts,
        oom_killed=known.oom_killed,
    )


def with_detail_of(known: Container, row: Container) -> Container:
    """`row` of a list with what an earlier inspection found, as far as that can still be true."""
    same = known.state == row.state
    return msgspec.structs.replace(
        row,
        started_at=known.started_at if same else None,
        finished_at=known.finished_at if same else None,
        exit_code=known.exit_code if row.exit_code is None and same else row.exit_code,
        restarts=known.restarts,
        oom_killed=known.oom_killed if same else None,
    )


def with_detail(row: Container, found: Container) -> Container:
    """`row` with what only an inspection knows, and the state it found, which is the later one. The rest is the list's
    way to say it, so that list and inspection taking turns do not look like changes."""
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
