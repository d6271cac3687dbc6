"""Finds which silences and maintenance windows hold an incident back, without comparing it with every one of them.

There may be 500 silences, 200 windows and thousands of incidents, and all of them are compared in one go. So silences
of one name are found by that name, the open windows are computed once for each time, and people are found by their id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from core.model import globs
from core.model.daily_hours import Interval
from core.model.incidents import Incident
from core.model.maintenance import Maintenance
from core.model.silences import Mute, Silence, names_of

OpenWindow = tuple[Maintenance, Interval]


class HoldIndex:
    """An index of silences, windows and mutes, which do not change. Times are seconds since the epoch."""

    def __init__(self, silences: Sequence[Silence], windows: Sequence[Maintenance], mutes: Mapping[str, Mute]) -> None:
        self._named: dict[str, list[Silence]] = {}
        self._globs: list[Silence] = []
        for silence in silences:
            if globs.is_name(silence.owner):
                self._named.setdefault(silence.owner, []).append(silence)
            else:
                self._globs.append(silence)
        self._windows = windows
        self._open: tuple[float, Sequence[OpenWindow]] | None = None
        self._muted: dict[str, float] = {}
        for who, mute in mutes.items():
            user = who.rpartition("/")[2]
            self._muted[user] = max(mute.until, self._muted.get(user, 0.0))

    def silences_of(self, incident: Incident, now: float) -> Iterator[Silence]:
        """Yields the silences that match the incident, each once."""
        if not self._named and not self._globs:
            return
        named = [silence for name in names_of(incident) for silence in self._named.get(name, ())]
        for silence in (*named, *self._globs):
            if silence.matches(incident, now):
                yield silence

    def windows_of(self, incident: Incident, now: float) -> Iterator[OpenWindow]:
        """Yields the open windows that cover the incident, each with its interval."""
        for window, interval in self.open_windows(now):
            if window.covers(incident):
                yield window, interval

    def open_windows(self, now: float) -> Sequence[OpenWindow]:
        """Returns the windows that are open, each with its interval."""
        if self._open is None or self._open[0] != now:
            found = [(window, interval) for window in self._windows if (interval := window.open_at(now)) is not None]
            self._open = now, found
        return self._open[1]

    def muted_until(self, user: str, now: float) -> float:
        """Returns until when the person with this Slack id is muted; 0 if they are not."""
        until = self._muted.get(user, 0.0)
        return until if until > now else 0.0
