"""Defines events: what happened on an engine. Adapters translate the engines' formats into these values.

An event may arrive twice: after a lost stream, reading starts a little before the last event on purpose. Two events
about the same fact have an equal `identity()`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from core.model.event_coverage import Coverage
from core.model.refs import Ref


class EventKind(enum.StrEnum):
    """What happened, in one vocabulary for all engines. GAP: Quarterdeck did not receive the engine's events for some
    time; see core.model.gaps."""

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
    GAP = "gap"
    OTHER = "other"

    # That of Enum is written in Python, and members are looked up for every event.
    __hash__ = str.__hash__


class Origin(enum.StrEnum):
    LIVE = "live"
    REPLAY = "replay"
    RESYNC = "resync"


# What self-healing reports to the alert rules. These events are not stored.
HEALING_GAVE_UP, HEALED = "healing-gave-up", "healed"
# The types of resources whose events tell their life, besides containers, and those of their actions that do not.
LIFECYCLE_TYPES = frozenset({"image", "pod", "service", "node", "task", "stack", "unit"})
OTHER_ACTIONS = frozenset({"mount", "unmount", "save", "prune"})
# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_HEALTH, _OTHER = EventKind.HEALTH, EventKind.OTHER


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. `at_ns`: the engine's own clock, nanoseconds since the epoch. `type` and `action` are the engine's own
    names. `attrs` are the attributes that Quarterdeck uses: `exit_code`, `signal`, `health`, `image`, `old_name`. Of an
    end: its `cause`, `cause_text` and `cause_by`, or `cause_pending` while the process that watches still looks for the
    cause. Of a network event: the id of the `container` and, where it is known,
    its `container_name`. For a Swarm: `TASK_FAILED` (`state`, `why`, `service`, `node`; `rollout`: the state of its
    service's update, while that runs), `REPLICAS` (`running`, `desired`), `ROLLOUT` (`state`, `why`), `NODE_STATE`
    (`state`, `availability`, `why`).

    `labels`: those of the container, in the first event about a container that no list or inspection has shown. Of a
    failed task of a Swarm: that with the id of its node, as its container has it. None in all others.

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
    labels: dict[str, str] | None = None

    def identity(self) -> tuple[int, str, str, str]:
        return (self.at_ns, self.type, self.action, self.subject.id)


def number_of(events: Iterable[Event]) -> int:
    """Returns how many events the engine sent as these."""
    return sum([event.folded or 1 for event in events])


def is_execution(event: Event) -> bool:
    """Returns whether the event reports a program that was run in a container, such as a health probe."""
    return event.kind is _OTHER and event.action.startswith("exec")


class EventList(msgspec.Struct, frozen=True):
    """Events, the oldest first. `notes`: sentences about events that may be missing. `coverage`: which time they cover;
    None if that was not asked for."""

    rows: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()
    coverage: Coverage | None = None


def is_probe(event: Event) -> bool:
    """Whether a health probe caused the event: an exec, or a health event without a result."""
    kind = event.kind
    if kind is _OTHER:
        return event.action.startswith("exec")
    return kind is _HEALTH and "health" not in event.attrs


def is_lifecycle(event: Event) -> bool:
    """Whether the event is about the life of a container, an image, a service or the like: what people look for."""
    kind = event.kind
    if kind is not _OTHER:
        return kind is not _HEALTH or "health" in event.attrs
    return event.type in LIFECYCLE_TYPES and event.action not in OTHER_ACTIONS
