"""Converts events into rows of the stored history and back. Limits their size, and masks secrets in engines' texts.

A process that does not watch the engine, such as `quarterdeck do`, stores its change as a `ChangeRecord`. The process
that watches the engine copies the requester from it into the row of the container's end.
"""

from __future__ import annotations

import msgspec

from core.model.end_causes import CauseKind
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.store.records import StoredEvent, engine_key
from core.text import redact
from runtimes.inventory import event_history

MAX_ATTRIBUTE = 300  # characters
MAX_ATTRIBUTES = 12
FREE_TEXTS = frozenset({"why"})
CLOCK_TOLERANCE_SECONDS = 5.0  # between an engine and a process
_KINDS = {str(kind): kind for kind in EventKind}
_ORIGINS = {str(origin): origin for origin in Origin}
_RESOURCES = {str(kind): kind for kind in Kind}


class ChangeRecord(msgspec.Struct, frozen=True):
    """A change by a process that does not watch its engine. `at`, `until`: when it may have ended a container, in
    seconds since the epoch."""

    verb: str
    who: str
    at: float
    until: float


def to_stored(event: Event, engine_id: str, now_ns: int) -> StoredEvent:
    """Returns an event as it is stored. Its size is limited. A time in the future would keep it for ever."""
    return StoredEvent(
        engine=engine_key(engine_id),
        padded_us=f"{max(0, min(event.at_ns, now_ns)) // 1000:016d}",
        at_ns=str(event.at_ns),
        origin=str(event.origin),
        type=_plain(event.type),
        action=_plain(event.action),
        kind=str(event.kind),
        subject_kind=str(event.subject.kind),
        subject_id=_plain(event.subject.id),
        name=_plain(event.subject.name),
        attrs={name: _attribute(name, value) for name, value in list(event.attrs.items())[:MAX_ATTRIBUTES]},
        known=event_history.cause_rank(event.attrs),
    )


def with_requester(row: StoredEvent, value: bytes) -> StoredEvent:
    """Returns the end with its requester, if the noted change fits."""
    try:
        call = msgspec.json.decode(value, type=ChangeRecord)
    except msgspec.MsgspecError:
        return row
    at = int(row.at_ns) / 1e9
    if not call.at - CLOCK_TOLERANCE_SECONDS <= at <= call.until + CLOCK_TOLERANCE_SECONDS:
        return row
    attrs = dict(row.attrs) | {"cause_by": call.who}
    if attrs.get("cause") == CauseKind.REQUESTED:
        forced = attrs.get("cause_text", "").partition(", ")[2]
        done = call.verb.partition(".")[2].replace("-", " ")
        attrs["cause_text"] = f"{done} through Quarterdeck{f', {forced}' if forced else ''}"
    return msgspec.structs.replace(row, attrs=attrs, known=event_history.cause_rank(attrs))


def to_event(row: StoredEvent, engine: EngineRef) -> Event:
    """A kind that a newer version of Quarterdeck stored is shown in the engine's own words."""
    kind = _RESOURCES.get(row.subject_kind, Kind.ENGINE)
    return Event(
        at_ns=int(row.at_ns),
        kind=_KINDS.get(row.kind, EventKind.OTHER),
        subject=Ref(engine=engine, kind=kind, id=row.subject_id, name=row.name),
        origin=_ORIGINS.get(row.origin, Origin.REPLAY),
        type=row.type,
        action=row.action,
        attrs=row.attrs,
    )


def _plain(text: str) -> str:
    """Without the character that separates the parts of an index, and without halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _attribute(name: str, value: str) -> str:
    """The text of an engine about an error may hold a secret; it is stored without."""
    text = _plain(value)[:MAX_ATTRIBUTE]
    return redact.redact(text) if name in FREE_TEXTS else text
