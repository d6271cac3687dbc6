"""Announces the beginning and the end of maintenance windows: in the channel of alerts, and in the place where the
window was requested.

The store holds what was announced, so a restart repeats nothing. If a channel cannot be reached, that is logged, and
the window counts as announced: its effect does not depend on the announcement. All channels are posted to in parallel,
so a channel that does not answer delays no other one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import structlog

from bot.notify.alert_settings import AlertSettings
from bot.notify.channel_tasks import ChannelTasks, all_at_once
from bot.notify.incident_writer import each_incident
from bot.notify.message_sender import MessageSender
from core import errors
from core.model.incidents import IncidentState
from core.model.maintenance import Maintenance
from core.model.replies import Button, Reply, Text, Tone
from core.store.alert_settings import AlertSettingsStore
from core.text import command_line, sanitize, text_timestamps

log = structlog.get_logger(__name__)


class MaintenanceAnnouncer:
    """Announces windows through a chat."""

    def __init__(self, store: AlertSettingsStore, poster: MessageSender, tasks: ChannelTasks) -> None:
        self._store = store
        self._poster = poster
        self._tasks = tasks

    async def announce(self, settings: AlertSettings, channels: Sequence[str], now: float) -> None:
        """Announces what began or ended. `channels`: those that concern everybody. `now`: seconds since the
        epoch. Raises StoreError."""
        for window, stored in settings.windows:
            if f"maintenance {window.id}" in self._tasks.busy:
                continue  # its begin is being announced, and its end comes after that
            interval = window.open_at(now)
            began, ended = window.announced_begin, window.announced_end
            if interval is not None and began < interval.begin:
                later = msgspec.structs.replace(window, announced_begin=interval.begin)
                if await self._replace(window.id, stored, later):
                    told = {window.place} if window.told_place else set()
                    self._say(window, channels, begin_text(window, interval.end), told)
            elif interval is None and began > ended:
                later = msgspec.structs.replace(window, announced_end=began)
                if await self._replace(window.id, stored, None if window.is_over(now) else later):
                    self._say(window, channels, end_text(window, await self._still_open(window)))
            elif window.is_over(now):
                await self._replace(window.id, stored, None)

    async def _replace(self, id_: str, stored: bytes, window: Maintenance | None) -> bool:
        value = msgspec.json.encode(window) if window is not None else None
        return await self._store.change_maintenance(id_, stored, value)

    async def _still_open(self, window: Maintenance) -> int:
        number = 0
        async for incident in each_incident(self._store):
            number += incident.state is not IncidentState.RESOLVED and window.covers(incident)
        return number

    def _say(self, window: Maintenance, channels: Sequence[str], reply: Reply, said: Collection[str] = ()) -> None:
        """Starts the task that posts in each place. `said`: the channels that need not be told."""
        places = [place for place in dict.fromkeys((window.place, *channels)) if place and place not in said]
        self._tasks.start(f"maintenance {window.id}", self._post(window.id, places, reply))

    async def _post(self, window: str, places: Sequence[str], reply: Reply) -> None:
        await all_at_once(self._post_in(window, place, reply) for place in places)

    async def _post_in(self, window: str, place: str, reply: Reply) -> None:
        try:
            await self._poster.post(place, reply)
        except errors.DeliveryError as error:
            log.error(
                "The begin or the end of a maintenance window was not announced in a channel.",
                window=window,
                channel=place,
                reason=error.full_message(),
            )


def begin_text(window: Maintenance, until: float) -> Reply:
    """Returns the announcement of the begin."""
    why = f" Reason: {sanitize.single_line(window.reason)}." if window.reason else ""
    text = (
        f"Maintenance of {sanitize.single_line(window.what())} began and lasts until {_time(until)}. Nothing about it"
        f" is posted. Asked for by {sanitize.single_line(window.by_name)}.{why}"
    )
    end = Button(label="End it now", line=command_line.quote(["maintenance", "end", window.id]))
    return Reply(blocks=(Text(text=text, tone=Tone.WARN),), buttons=(end,))


def end_text(window: Maintenance, still_open: int) -> Reply:
    """Returns the announcement of the end."""
    what = sanitize.single_line(window.what())
    if not still_open:
        return Reply(
            blocks=(Text(text=f"Maintenance of {what} is over. No incident about it is open.", tone=Tone.GOOD),)
        )
    number = "1 incident about it is" if still_open == 1 else f"{still_open} incidents about it are"
    return Reply(blocks=(Text(text=f"Maintenance of {what} is over. {number} still open.", tone=Tone.BAD),))


def _time(at: float) -> str:
    return text_timestamps.format_timestamp(at)
