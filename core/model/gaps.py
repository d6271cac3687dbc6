"""Defines gaps: times in which Quarterdeck did not receive the events of an engine.

A gap is recorded, so that nobody mistakes missing events for a quiet time. It is reported once, when it is over and the
engine was listed again. It is an event of the kind GAP about the engine. It passes through the same modules and into
the same history as all other events.
"""

from __future__ import annotations

import enum

import msgspec

from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

TYPE, ACTION = "engine", "gap"
"""The type and the action of a gap's event: Quarterdeck's own, used by no engine."""
MAX_WHY = 400  # characters


class GapReason(enum.StrEnum):
    """Why events were not received."""

    NOT_WATCHED = "not_watched"
    STREAM_LOST = "stream_lost"
    EVENTS_DROPPED = "events_dropped"
    EVENTS_UNREADABLE = "events_unreadable"


class Recovery(enum.StrEnum):
    """What is known of the time of a gap.

    REPLAYED: the engine sent every event of it later. RESYNCED: lists before and after it were compared, which shows
    what changed, but not what happened in between. LOST: what happened is not known, except what the engine replayed.
    """

    REPLAYED = "replayed"
    RESYNCED = "resynced"
    LOST = "lost"


_REASONS = {
    GapReason.NOT_WATCHED: "Quarterdeck did not watch this engine",
    GapReason.STREAM_LOST: "the event stream was lost",
    GapReason.EVENTS_DROPPED: "events came faster than they could be processed",
    GapReason.EVENTS_UNREADABLE: "events could not be decoded",
}
_RECOVERIES = {
    Recovery.REPLAYED: "every event arrived later",
    Recovery.RESYNCED: "a list shows what changed",
    Recovery.LOST: "what happened is not known",
}


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """One gap of one engine. `from_ns`, `until_ns`: nanoseconds since the epoch. `why`: the error that ended the
    stream, if there was one. `replayed`: the missed events that the engine sent later. `resynced`: the changes that
    only a list showed."""

    engine: EngineRef
    engine_id: str
    from_ns: int
    until_ns: int
    reason: GapReason
    recovery: Recovery
    why: str = ""
    replayed: int = 0
    resynced: int = 0

    @property
    def seconds(self) -> float:
        return max(0, self.until_ns - self.from_ns) / 1e9

    @property
    def text(self) -> str:
        """The reason and the recovery in words, without a full stop."""
        return f"{_REASONS[self.reason]}; {_RECOVERIES[self.recovery]}"

    def to_event(self) -> Event:
        """Returns the gap as an event at the time when it began. So all processes that share a store and missed the
        same time make events with one identity."""
        attrs = {
            "until_ns": str(self.until_ns),
            "reason": str(self.reason),
            "recovery": str(self.recovery),
            "replayed": str(self.replayed),
            "resynced": str(self.resynced),
        }
        if self.why:
            attrs["why"] = self.why[:MAX_WHY]
        subject = Ref(
            engine=self.engine, kind=Kind.ENGINE, id=self.engine_id or str(self.engine), name=str(self.engine)
        )
        return Event(self.from_ns, EventKind.GAP, subject, Origin.LIVE, TYPE, ACTION, attrs)


def from_event(event: Event) -> Gap:
    """Returns the gap that an event of the kind GAP describes. Raises ValueError for any other event."""
    attrs = event.attrs
    if event.kind is not EventKind.GAP:
        raise ValueError(f"an event of the kind {event.kind} describes no gap")
    try:
        return Gap(
            engine=event.subject.engine,
            engine_id=event.subject.id,
            from_ns=event.at_ns,
            until_ns=int(attrs["until_ns"]),
            reason=GapReason(attrs["reason"]),
            recovery=Recovery(attrs["recovery"]),
            why=attrs.get("why", ""),
            replayed=int(attrs["replayed"]),
            resynced=int(attrs["resynced"]),
        )
    except KeyError as error:
        raise ValueError(f"the event of a gap has no attribute {error}") from error
