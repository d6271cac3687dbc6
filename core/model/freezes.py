"""Defines the freeze: a switch in the store. While it is on, no command changes anything on any engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk
from core.model.bot_actions import BuiltinAction
from core.model.invocation import Identity

MAX_FREEZE = timedelta(days=30)
MAX_REASON = 500  # characters
# What is still done during a freeze: whatever ends it, answers a question (the action that a yes runs is checked by
# itself), ends work that runs, takes permissions away, makes the first admin, or changes only what people are told.
NOT_FROZEN = frozenset(
    (  # noqa: SIM905 (one name a line is too long)
        "freeze.set freeze.lift freeze.lift-any question.answer job.stop job.stop-any policy.revoke policy.claim"
        " alert.test alert.route incident.acknowledge incident.silence incident.snooze incident.mute-me silence.remove"
        " maintenance.add maintenance.end"
    ).split()
)


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """One freeze. `by`, `by_name`: who asked for it; `since`, `until`: seconds since the epoch, `until` 0: until
    somebody lifts it."""

    by: str
    by_name: str = ""
    since: float = 0.0
    until: float = 0.0
    reason: str = ""

    def sentence(self) -> str:
        """Returns who froze everything, since when, until when and why."""
        since = f" since {_moment(self.since)}" if self.since else ""
        until = f", until {_moment(self.until)}" if self.until else ", until somebody lifts it"
        return f"{self.by_name or self.by or 'Somebody'} has frozen all changes{since}{until}" + (
            f": {self.reason.rstrip('.')}." if self.reason else "."
        )


_decode = msgspec.json.Decoder(Freeze).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFreeze(BuiltinAction[Freeze]):
    """Freezes everything for `seconds`; 0: until somebody lifts it."""

    verb = "freeze.set"
    risk = Risk.CHANGE
    by: Identity
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftFreeze(BuiltinAction[Freeze]):
    """Lifts the freeze that `by` asked for; no other."""

    verb = "freeze.lift"
    risk = Risk.CHANGE
    by: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftAnyFreeze(BuiltinAction[Freeze]):
    """Lifts the freeze, whoever asked for it."""

    verb = "freeze.lift-any"
    risk = Risk.CHANGE
    by: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowFreeze(BuiltinAction[Freeze | None]):
    """Returns the freeze that is in force; None without one."""

    verb = "freeze.show"


def is_frozen(action: Action[Any]) -> bool:
    """Returns whether a freeze refuses this action."""
    return action.risk is not Risk.READ and action.verb not in NOT_FROZEN


def decode_freeze(record: bytes) -> Freeze:
    """Decodes a stored freeze. A record that this version cannot read is a freeze all the same."""
    try:
        return _decode(record)
    except (msgspec.DecodeError, ValueError):
        return Freeze(by="")


def _moment(at: float) -> str:
    """A point in time as `core.text.text_timestamps` finds it."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
