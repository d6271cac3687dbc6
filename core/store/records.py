"""Defines the values that the methods of the store take and return: rate limits, unfinished commands and their phases,
leases, audit rows, the limits and usage of the store, and what is saved about the watch of an engine.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import field

import msgspec

from core.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitRule:
    """Allows `count` commands in each `period` seconds, at most `burst` of them (None: `count`) at once."""

    count: int
    period: float
    burst: int | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.period <= 0 or (self.burst is not None and self.burst < 1):
            raise ValueError(f"a rate needs a count, a period and a burst above zero, not {self!r}")


class Phase(enum.StrEnum):
    """How far an unfinished invocation has come. BEGUN: nothing was changed yet. INTENT: a change may have been sent to
    an engine. ENDED: the change has ended, its reply may not have been delivered."""

    BEGUN = "begun"
    INTENT = "intent"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """`first` False: this id was seen before, so do nothing. `retry_after`: seconds to wait; 0 means admitted.
    `frozen`: the record of the freeze that is in force; empty without one."""

    first: bool
    retry_after: float
    policy_version: int
    frozen: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """Asks for the lease `key` for `ttl` seconds. `record` says who holds it, for others who want it."""

    key: str
    record: bytes
    ttl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease that this process holds until its ttl ends, unless it is renewed. `fence` grows with every lease given,
    so a later holder has the greater number."""

    key: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseConflict:
    """Somebody else holds the lease: their record, and the seconds until it ends by itself."""

    key: str
    record: bytes
    remaining: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeConflict:
    """A freeze refuses the change: its record."""

    record: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """How one action of a plan ended: its number in the plan, its status, its audit row."""

    index: int
    status: str
    row: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An invocation whose replica is no longer alive. `posted`: where its chat message is, as the chat package wrote
    it. `outcomes`: the status of each action that had ended, by its number in the plan."""

    id: str
    record: bytes
    phase: Phase
    detail: bytes
    replica: str
    posted: bytes = b""
    outcomes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLimits:
    """How much of the audit is stored: the number of its rows, their bytes with the index (estimated), and their age in
    seconds (0: no limit). `reads`: the number of rows about commands that only read."""

    rows: int = 100_000
    bytes: int = 128 << 20
    seconds: float = 0.0
    reads: int = 50_000

    @property
    def of_reads(self) -> AuditLimits:
        """The limits of the audit of commands that only read: their number, a quarter of the bytes, the same age."""
        return AuditLimits(rows=self.reads, bytes=self.bytes // 4, seconds=self.seconds)

    def to_json(self) -> str:
        """Returns the limits as the scripts take them."""
        return json.dumps({"rows": self.rows, "bytes": self.bytes, "ms": round(self.seconds * 1000)})


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLimits:
    """How much of the history of events is stored: the number of events, their bytes with the index (estimated), and
    their age in seconds."""

    rows: int = 100_000
    bytes: int = 96 << 20
    seconds: float = 86_400.0

    def to_json(self) -> str:
        """Returns the limits as the scripts take them."""
        return json.dumps({"rows": self.rows, "bytes": self.bytes, "ms": round(self.seconds * 1000)})


class StoredEvent(msgspec.Struct, frozen=True, array_like=True):
    """One event of the history. `engine`: see `engine_key`. `at_us`: the time by which it is sorted.
    `known`: how much is known of its cause, from 0."""

    engine: str
    padded_us: str
    at_ns: str
    origin: str
    type: str
    action: str
    kind: str
    subject_kind: str
    subject_id: str
    name: str
    attrs: dict[str, str]
    known: int = 0

    @property
    def at_us(self) -> int:
        return int(self.padded_us)


def engine_key(engine_id: str) -> str:
    """A short name for an engine's id, which may have any length and character."""
    return hashlib.sha256(engine_id.encode("utf-8", "replace")).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventName:
    """A name to look up. `or_prefix`: if no event has it, it is the start of a name. `is_prefix`: it is one anyway."""

    text: str
    or_prefix: bool = False
    is_prefix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsWanted:
    """Asks for the newest `limit` events of these `engines` (keys) from `since_us` to `until_us` (0: no end), of any of
    these names, if there are any."""

    engines: frozenset[str]
    since_us: int = 0
    until_us: int = 0
    names: tuple[EventName, ...] = ()
    limit: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsFound:
    """Events, the oldest first. `oldest_us`: the oldest event that is stored, 0 without any. `cut_until_us`: events up
    to this time were removed, because there were too many. `lost`, `lost_until_us`: how many events were not stored,
    and the newest of them. `complete`: False if too many events match a name to compare all of them. `kept_seconds`:
    the age from which events are removed; 0: no limit."""

    events: tuple[StoredEvent, ...] = ()
    oldest_us: int = 0
    cut_until_us: int = 0
    lost: int = 0
    lost_until_us: int = 0
    complete: bool = True
    kept_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUsage:
    """How full the store is. `memory`, `max_memory`: bytes of the server, 0: unknown or unlimited. `audit_bytes`: of
    the rows and their index, estimated; `audit_trimmed`: how many rows were ever removed; `audit_oldest_ms`: when the
    oldest row was written, in milliseconds since the epoch, 0 without rows. `read_…`: the same of the audit of commands
    that only read. `event_rows`, `event_bytes`: the size of the history of events."""

    memory: int = 0
    max_memory: int = 0
    audit_rows: int = 0
    audit_bytes: int = 0
    audit_trimmed: int = 0
    audit_oldest_ms: int = 0
    audit_limits: AuditLimits = AuditLimits()
    read_rows: int = 0
    read_trimmed: int = 0
    read_oldest_ms: int = 0
    event_rows: int = 0
    event_bytes: int = 0

    @property
    def audit_fill(self) -> float:
        """Returns how full the audit is, by rows or by bytes: rows are removed at 1.0."""
        return max(self.audit_rows / self.audit_limits.rows, self.audit_bytes / self.audit_limits.bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """`count`: how often it happened; above 1 only for folded refusals."""

    id: str
    fields: Mapping[str, str]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRecord:
    """What is saved about the watch of one engine. `cursor`: the time of the newest event that was processed, in
    nanoseconds; None if the engine was never watched. `watched`: when each watcher last watched, in nanoseconds,
    negative if it stopped then. `containers`: one record for each container, by its id. `recent`: which events near
    the cursor were processed, as the watcher encodes them."""

    cursor: int | None = None
    recent: bytes = b""
    watched: Mapping[str, int] = field(default_factory=dict)
    containers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchUpdate:
    """A change of a WatchRecord. `cursor` None: it stays, and so does `recent`. `watched`: of this watcher; None: it
    stays. `forgotten`: watchers to remove. `changed`, `removed`: containers. `began`: since when this watcher watches,
    in nanoseconds; it is only saved if no earlier time is."""

    watcher: str
    cursor: int | None = None
    recent: bytes = b""
    watched: int | None = None
    forgotten: Collection[str] = ()
    changed: Mapping[str, bytes] = field(default_factory=dict)
    removed: Collection[str] = ()
    began: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSpan:
    """From when until when an engine was watched, by any process, in nanoseconds; gaps are events of the history. 0:
    not at all. `running`: the newest watcher has not said that it stopped."""

    began_ns: int = 0
    until_ns: int = 0
    running: bool = False


class Claim(enum.Enum):
    """The result of trying the first admin's one-time code: RIGHT (it is now used up), WRONG, or NONE (no code is open:
    it was used, has expired or was tried too often)."""

    RIGHT = "right"
    WRONG = "wrong"
    NONE = "none"
