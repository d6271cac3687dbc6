"""Defines the actions that change where and when alerts are posted, which the bot runs itself: the channel of
alerts, snoozes, maintenance windows and mutes. Also the action that shows one incident.
"""

from __future__ import annotations

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Risk
from core.model.bot_actions import BuiltinAction
from core.model.daily_hours import DailyHours
from core.model.incidents import Incident
from core.model.invocation import Identity, Place
from core.model.maintenance import Maintenance
from core.model.silences import Mute, Silence


class AlertChannel(msgspec.Struct, frozen=True):
    """The channel of alerts that somebody named in chat. `before`: the one that it replaces; empty for none."""

    channel: str
    by: str = ""
    by_name: str = ""
    before: str = ""


class ShownIncident(msgspec.Struct, frozen=True):
    """One incident, with what holds it back now: silences, maintenance windows, and open incidents that explain it.
    `refused_channel`: the channel that a label names and that the configuration does not; empty for none."""

    incident: Incident
    silences: tuple[Silence, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    causes: tuple[Incident, ...] = ()
    refused_channel: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowIncident(BuiltinAction[ShownIncident]):
    """One incident that `who` may see in this place. `id`: its id, or the beginning of it."""

    verb = "incident.inspect"
    who: Identity
    place: Place
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnoozeIncident(BuiltinAction[Silence]):
    """Stops posting about one incident for `seconds`, and then says whether it is still open."""

    verb = "incident.snooze"
    risk = Risk.CHANGE
    by: Identity
    place: Place
    id: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAlertChannel(BuiltinAction[AlertChannel]):
    """Posts alerts in this channel from now on; `channel` is empty for nowhere. Only without a channel in the
    configuration."""

    verb = "alert.route"
    risk = Risk.CHANGE
    by: Identity
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMaintenance(BuiltinAction[Maintenance]):
    """Opens a maintenance window, now, later or again and again. `host`, `engine_pattern`: globs over the engines of
    its targets. `begin`: seconds since the epoch; 0 for now. `seconds`: how long it is open. `hours`: for a recurring
    one, instead of `begin`."""

    verb = "maintenance.add"
    risk = Risk.CHANGE
    by: Identity
    seconds: float
    target: str = ""
    host: str = ""
    engine_pattern: str = ""
    reason: str = ""
    place: str = ""
    begin: float = 0.0
    hours: DailyHours | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMaintenance(BuiltinAction[tuple[Maintenance, ...]]):
    """All maintenance windows that are open or will be, the open ones first."""

    verb = "maintenance.list"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndMaintenance(BuiltinAction[Maintenance]):
    """Ends a maintenance window for good. `id`: its id."""

    verb = "maintenance.end"
    risk = Risk.CHANGE
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteRequester(BuiltinAction[Mute]):
    """Mentions the requester in no incident, and sends them none as a direct message, for `seconds`; 0 ends it."""

    verb = "incident.mute-me"
    risk = Risk.CHANGE
    by: Identity
    seconds: float
