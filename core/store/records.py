"""What the store is given and gives back: rates, invocations and how far they came, leases, audit rows. Values only."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`count` commands in each `period` seconds, at most `burst` of them (None: `count`) at once."""

    count: int
    period: float
    burst: int | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.period <= 0 or (self.burst is not None and self.burst < 1):
            raise ValueError(f"a rate needs a count, period and burst above zero, not {self!r}")


class Phase(enum.StrEnum):
    """BEGUN: nothing was done yet. INTENT: a change is about to be or was made. ENDED: it was, and the asker is being
    told. DONE: answered."""

    BEGUN = "begun"
    INTENT = "intent"
    ENDED = "ended"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """`first` False: this id was seen before, do nothing. `retry_after`: seconds to wait; 0 means come in."""

    first: bool
    retry_after: float
    policy_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An invocation whose replica is gone. `posted`: where its surface had already said something, in its own words."""

    id: str
    record: bytes
    phase: Phase
    detail: bytes
    replica: str
    posted: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Ours until its ttl. `fence` grows with every lease given, so the later holder has the greater number."""

    key: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Somebody else's: their record, and the seconds until it ends by itself."""

    key: str
    record: bytes
    remaining: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """`count`: how often it was met; above 1 only for folded refusals."""

    id: str
    fields: Mapping[str, str]
    count: int


class Claim(enum.Enum):
    """What came of a one-time code: RIGHT (now used up), WRONG, or NONE (none is open: used, expired, tried too
    often)."""

    RIGHT = "right"
    WRONG = "wrong"
    NONE = "none"
