"""Reads the alert settings that people made in chat: silences, maintenance windows, mutes, and the channel of alerts.

If this version cannot read a record of another version, the record is ignored. It is removed when a command reads its
kind of setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeVar

import msgspec

from bot.notify.silence_index import OpenWindow, SilenceIndex
from core.lazy_dataclass import dataclass
from core.model.alert_setting_actions import AlertChannel
from core.model.incidents import Incident
from core.model.maintenance import Maintenance
from core.model.silences import Mute, Silence
from core.store.alert_settings import AlertSettingsStore
from core.text import sanitize, text_timestamps

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReason:
    """What holds an incident back. `until`: seconds since the epoch; 0 if nothing does. `text`: for its message, such
    as `snoozed by Ada until 2026-11-30T08:00:00Z`."""

    until: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """The settings at one time. `expired`: silences that are over and not removed yet. `windows`: maintenance windows
    with their stored records, which a change replaces. `mutes`: those in force, by person."""

    silences: tuple[Silence, ...] = ()
    expired: tuple[Silence, ...] = ()
    windows: tuple[tuple[Maintenance, bytes], ...] = ()
    mutes: Mapping[str, Mute] = field(default_factory=dict)
    channel: str = ""
    _index: SilenceIndex = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        windows = [window for window, _ in self.windows]
        object.__setattr__(self, "_index", SilenceIndex(self.silences, windows, self.mutes))

    def hold(self, incident: Incident, now: float) -> HoldReason:
        """Returns the silence or the maintenance window that holds an incident back for the longest time."""
        silences = self._index.silences_of(incident, now)
        found = [HoldReason(until=each.until, text=_words(each)) for each in silences]
        for _, interval in self._index.windows_of(incident, now):
            found.append(HoldReason(until=interval.end, text=f"in maintenance until {_time(interval.end)}"))
        return max(found, key=lambda each: each.until, default=HoldReason())

    def holds(self, now: float) -> frozenset[str]:
        """Returns the ids of the silences and the maintenance windows that are in force."""
        silences = (silence.id for silence in self.silences if silence.until > now)
        return frozenset([*silences, *(window.id for window, _ in self._index.open_windows(now))])

    def maintenance_of(self, incident: Incident, now: float) -> OpenWindow | None:
        """Returns an open maintenance window that covers the incident, with its interval; None if there is none."""
        return next(self._index.windows_of(incident, now), None)

    def held_until(self, incident: Incident, now: float) -> float:
        """Returns the time until which a silence or a maintenance window holds the incident back; 0 if none does."""
        return self.hold(incident, now).until

    def muted_until(self, user: str, now: float) -> float:
        """Returns until when the person with this Slack id is muted; 0 if they are not."""
        return self._index.muted_until(user, now)


async def read_settings(store: AlertSettingsStore, now: float) -> AlertSettings:
    """Raises StoreError."""
    stored = await store.alert_settings()
    silences = [found for value in stored.silences.values() if (found := decoded(value, Silence)) is not None]
    windows = [(window, value) for value in stored.maintenance.values() if (window := decoded(value, Maintenance))]
    mutes = {who: mute for who, value in stored.mutes.items() if (mute := decoded(value, Mute)) is not None}
    channel = decoded(stored.channel, AlertChannel) if stored.channel is not None else None
    return AlertSettings(
        silences=tuple(silence for silence in silences if silence.until > now),
        expired=tuple(silence for silence in silences if silence.until <= now),
        windows=tuple(sorted(windows, key=lambda each: each[0].id)),
        mutes={who: each for who, each in mutes.items() if each.until > now},
        channel=channel.channel if channel is not None else "",
    )


async def named_channel(store: AlertSettingsStore) -> str:
    """Returns the channel that `alerts here` named; empty for none. Raises StoreError."""
    value = await store.alert_channel()
    channel = decoded(value, AlertChannel) if value is not None else None
    return channel.channel if channel is not None else ""


def decoded(value: bytes, kind: type[T]) -> T | None:
    """Decodes a stored record; None for one that another version wrote and this one cannot read."""
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, ValueError):
        return None


def _words(silence: Silence) -> str:
    how = "snoozed" if silence.reminds else "silenced"
    until = "it is resolved" if silence.until_resolved else _time(silence.until)
    return f"{how} by {sanitize.single_line(silence.by_name or silence.by)} until {until}"


def _time(at: float) -> str:
    return text_timestamps.format_timestamp(at)
