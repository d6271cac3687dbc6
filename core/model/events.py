"""Defines events: what happened on an engine. Adapters translate the engines' formats into these values.

An event may arrive twice: after a lost stream, reading starts a little before the last event on purpose. Two events
about the same fact have an equal `identity()`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from core.model.refs import Ref


class EventKind(enum.StrEnum):
    """What happened, in one vocabulary for all engines."""

    CREATED = "created"
    STARTED = "started"
    DIED = "died"
    OOM = "oom"
    HEALTH = "health"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    REMOVED = "removed"
    RENAMED = "renamed"
    UPDATED = "updated"
    RESTARTED = "restarted"
    STOPPED = "stopped"
    KILLED = "killed"
    PULLED = "pulled"
    TASK_FAILED = "task_failed"
    REPLICAS = "replicas"
    ROLLOUT = "rollout"
    NODE_STATE = "node_state"
    OTHER = "other"

    # That of Enum is written in Python, and members are looked up for every event.
    __hash__ = str.__hash__


class Origin(enum.StrEnum):
    LIVE = "live"
    REPLAY = "replay"
    RESYNC = "resync"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. `at_ns`: the engine's own clock, nanoseconds since the epoch. `type` and `action` are the engine's own
    names. `attrs` are the attributes that Quarterdeck uses: `exit_code`, `signal`, `health`, `image`, `old_name`. For a
    Swarm: `TASK_FAILED` (`state`, `why`, `service`, `node`), `REPLICAS` (`running`, `desired`), `ROLLOUT`
    (`state`, `why`), `NODE_STATE` (`state`, `availability`, `why`).

    `folded`: how many events this one stands for, if they are only counted; then its subject has no id, and it has the
    time of the newest one. 0 for any other event."""

    at_ns: int
    kind: EventKind
    subject: Ref
    origin: Origin
    type: str
    action: str
    attrs: dict[str, str]
    folded: int = 0

    def identity(self) -> tuple[int, str, str, str]:
        return (self.at_ns, self.type, self.action, self.subject.id)


_OTHER = EventKind.OTHER


def number_of(events: Iterable[Event]) -> int:
    """Returns how many events the engine sent as these."""
    return sum([event.folded or 1 for event in events])


def is_execution(event: Event) -> bool:
    """Returns whether the event reports a program that was run in a container, such as a health probe."""
    return event.kind is _OTHER and event.action.startswith("exec")
