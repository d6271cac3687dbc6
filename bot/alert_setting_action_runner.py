"""Runs the actions that change where and when alerts are posted: the channel, snoozes, maintenance windows and mutes.

`bot.alert_action_runner` runs the other actions about alerts.
"""

from __future__ import annotations

import time
from typing import ClassVar

import msgspec

from bot.alert_action_runner import AlertActionRunner
from bot.notify import inhibition
from bot.notify.alert_settings import decoded, named_channel
from bot.notify.incident_writer import decode_incident
from bot.notify.maintenance_windows import add_maintenance, end_maintenance, list_maintenance_windows
from bot.notify.silences import add_silence, list_silences_in_force
from core import errors
from core.model import alert_routes
from core.model.alert_actions import AddSilence
from core.model.alert_setting_actions import (
    AddMaintenance,
    AlertChannel,
    EndMaintenance,
    ListMaintenance,
    MuteRequester,
    SetAlertChannel,
    ShowIncident,
    ShownIncident,
    SnoozeIncident,
)
from core.model.incidents import IncidentState
from core.model.maintenance import Maintenance
from core.model.silences import Mute, Silence
from runtimes.base.base_adapter import does
from runtimes.inventory.mirror import Mirror


class AlertSettingActionRunner(AlertActionRunner):
    """Runs the actions about the settings of alerts, for BuiltinRuntime."""

    max_mutes: ClassVar[int] = 5_000

    @does(ShowIncident)
    async def show_incident(self, action: ShowIncident, seconds: float) -> ShownIncident:
        incident = await self._visible_incident(action.id, action.who, action.place)
        now = time.time()
        silences = [each for each in await list_silences_in_force(self._store) if each.matches(incident, now)]
        windows = [
            each
            for each in await list_maintenance_windows(self._store)
            if each.open_at(now) is not None and each.covers(incident)
        ]
        mirrors = [each for each in self.fleet.runtimes if isinstance(each, Mirror)] if self.fleet is not None else []
        nodes = inhibition.find_nodes_of_incident(incident, mirrors)
        causes = [
            each
            for each in await inhibition.open_causes(self._store, incident, nodes)
            if self._may_see(each, action.who, action.place, self._clock())
        ]
        named = incident.main.channel
        return ShownIncident(
            incident=incident,
            silences=tuple(silences),
            maintenance=tuple(windows),
            causes=tuple(causes),
            refused_channel="" if self.routing.may_name(named) else named,
        )

    @does(SnoozeIncident)
    async def snooze(self, action: SnoozeIncident, seconds: float) -> Silence:
        incident = await self._open_incident(action.id, action.by, action.place, "there is nothing to snooze")
        wanted = AddSilence(by=action.by, owner=incident.id, seconds=action.seconds, reason="snoozed")
        return await add_silence(self._store, wanted, reminds=True)

    @does(SetAlertChannel)
    async def set_channel(self, action: SetAlertChannel, seconds: float) -> AlertChannel:
        if self.routing.default:
            raise errors.UserError(
                "This command cannot change the channel of alerts: quarterdeck.yaml sets it to"
                f" {self.routing.default}.",
                hint="Change `alerts.to` in quarterdeck.yaml, then send SIGHUP to Quarterdeck.",
            )
        if action.channel and not alert_routes.is_channel(action.channel):
            raise errors.BadUsage(
                f"“{action.channel}” is not a Slack channel.",
                hint="Give this command in the channel where alerts must be posted.",
            )
        before = await named_channel(self._store)
        named = AlertChannel(
            channel=action.channel, by=action.by.id, by_name=action.by.name or action.by.id, before=before
        )
        await self._store.put_alert_channel(msgspec.json.encode(named) if action.channel else None)
        if action.channel:
            await self._post_open_incidents()
        return named

    async def _post_open_incidents(self) -> None:
        """Marks those as changed that are open and that nobody was told of, so that they are posted now."""
        async for key, raw in self._store.each_incident():
            incident = decode_incident(raw)
            if incident is not None and not incident.posts and incident.state is not IncidentState.RESOLVED:
                await self._store.change_incident(key, raw, raw)

    @does(AddMaintenance)
    async def open_window(self, action: AddMaintenance, seconds: float) -> Maintenance:
        return await add_maintenance(self._store, action)

    @does(ListMaintenance)
    async def windows(self, action: ListMaintenance, seconds: float) -> tuple[Maintenance, ...]:
        return tuple(await list_maintenance_windows(self._store))

    @does(EndMaintenance)
    async def end_window(self, action: EndMaintenance, seconds: float) -> Maintenance:
        return await end_maintenance(self._store, action.id)

    @does(MuteRequester)
    async def mute(self, action: MuteRequester, seconds: float) -> Mute:
        now = time.time()
        mute = Mute(until=now + action.seconds if action.seconds else 0.0, name=action.by.name)
        if not action.seconds:
            await self._store.remove_mutes(action.by.id)
            return mute
        stored = await self._store.mutes()
        over = [who for who, value in stored.items() if (found := decoded(value, Mute)) is None or found.until <= now]
        await self._store.remove_mutes(*over)
        if len(stored) - len(over) >= self.max_mutes:
            raise errors.UserError(
                f"You were not muted: {self.max_mutes:,} people are muted already, which is the limit.",
                hint="Ask a muted person to give: unmute me",
            )
        await self._store.put_mute(action.by.id, msgspec.json.encode(mute))
        return mute
