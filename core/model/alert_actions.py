"""Defines the actions about alerts that the bot runs itself: list rules, incidents and silences, acknowledge an
incident, fire a test alert, and add or remove a silence.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Risk
from core.model.alert_routes import Matcher
from core.model.alerts import Severity
from core.model.bot_actions import BuiltinAction
from core.model.incidents import Incident
from core.model.invocation import Identity, Place
from core.model.silences import Silence


class RuleState(msgspec.Struct, frozen=True):
    """One alert rule. `hold`: how long the trouble must last. `settle`: after how long without trouble it resolves;
    None if only the end of the trouble resolves it. `firing`: its alerts now. `waiting`: those whose trouble has not
    lasted long enough. `asked`: about how many events it was asked since this process started; `fired`: how often it
    fired since then; `held_back`: how many findings were not reported, because the trouble ended too soon, or because
    of the cooldown. `last_ns`: when it fired last, 0 for never. `threshold`: the number that it compares with, and what
    it counts; empty without one."""

    name: str
    summary: str
    severity: Severity
    hold: timedelta
    settle: timedelta | None
    firing: int
    waiting: int
    fired: int
    asked: int = 0
    held_back: int = 0
    last_ns: int = 0
    threshold: str = ""


class IncidentPage(msgspec.Struct, frozen=True):
    """Incidents, the newest change first. `hidden`: how many more match. `channel`: where alerts are posted; empty if
    nowhere. `unwatched`: the engines that nobody watches now, so that no incident about them is noticed."""

    incidents: tuple[Incident, ...]
    hidden: int = 0
    channel: str = ""
    unwatched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRules(BuiltinAction[tuple[RuleState, ...]]):
    verb = "rule.list"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListIncidents(BuiltinAction[IncidentPage]):
    """The newest `limit` incidents about resources that `who` may list in this place. `resolved`: also those that are
    over. `name`: a glob over id, owner and name; empty matches all."""

    verb = "incident.list"
    who: Identity
    place: Place
    resolved: bool = False
    name: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeIncident(BuiltinAction[Incident]):
    """Records that `by` takes care of an incident. `id`: the id of an incident, or its beginning."""

    verb = "incident.acknowledge"
    risk = Risk.CHANGE
    by: Identity
    place: Place
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FireTestAlert(BuiltinAction[str]):
    """Fires a test alert, which resolves after a minute. Returns the channel where it is posted; empty for nowhere."""

    verb = "alert.test"
    risk = Risk.CHANGE
    by: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSilence(BuiltinAction[Silence]):
    """Stops posting incidents about some owners. `owner`, `rule`: globs. `matchers`: all must match too. `seconds`: for
    how long. `until_resolved`: it also ends when no open incident matches it any more; `place`: where the requester
    must see such an incident now."""

    verb = "incident.silence"
    risk = Risk.CHANGE
    by: Identity
    owner: str
    seconds: float
    rule: str = ""
    reason: str = ""
    until_resolved: bool = False
    matchers: tuple[Matcher, ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSilences(BuiltinAction[tuple[Silence, ...]]):
    """The silences that are in force, the one that ends first at the top."""

    verb = "silence.list"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveSilence(BuiltinAction[Silence]):
    """Ends a silence. `id`: the id of a silence."""

    verb = "silence.remove"
    risk = Risk.CHANGE
    id: str
