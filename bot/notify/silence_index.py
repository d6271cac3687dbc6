"""Finds quickly which silences and maintenance windows apply to an incident: an index leaves out those that cannot
apply.

There may be 500 silences, 200 windows and thousands of incidents, and all of them are compared in one go. So silences
of one name are found by that name. One pattern shows whether any other silence can match. The open windows are computed
once for each time, and people are found by their id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from core.lazy_dataclass import dataclass
from core.model import globs
from core.model.alert_routes import MAX_VALUE, Matcher, values_of
from core.model.daily_hours import Interval
from core.model.incidents import Incident
from core.model.maintenance import Maintenance
from core.model.maintenance import names_of as maintenance_names
from core.model.silences import Mute, Silence, names_of

OpenWindow = tuple[Maintenance, Interval]


class SilenceIndex:
    """An index of silences, windows and mutes, which do not change. Times are seconds since the epoch."""

    def __init__(self, silences: Sequence[Silence], windows: Sequence[Maintenance], mutes: Mapping[str, Mute]) -> None:
        self._named: dict[str, list[Silence]] = {}
        self._globs: list[Silence] = []
        self._everywhere: list[Silence] = []
        self._fields: dict[str, list[tuple[Matcher, Silence]]] = {}  # those of everything with a field that equals this
        for silence in silences:
            if silence.owner == "*":
                equal = next((each for each in silence.matchers if each.operator == "="), None)
                if equal is None:
                    self._everywhere.append(silence)
                else:
                    self._fields.setdefault(equal.field, []).append((equal, silence))
            elif globs.is_name(silence.owner):
                self._named.setdefault(silence.owner, []).append(silence)
            else:
                self._globs.append(silence)
        self._any_glob = globs.any_of([silence.owner for silence in self._globs]) if self._globs else None
        self._any_value = {
            field: globs.any_of([pattern for matcher, _ in found for pattern in matcher.patterns])
            for field, found in self._fields.items()
        }
        self._windows = windows
        self._open: _OpenWindows | None = None
        self._muted: dict[str, float] = {}
        for who, mute in mutes.items():
            user = who.rpartition("/")[2]
            self._muted[user] = max(mute.until, self._muted.get(user, 0.0))

    def silences_of(self, incident: Incident, now: float) -> Iterator[Silence]:
        """Yields the silences that match the incident, each once."""
        if not (self._named or self._globs or self._everywhere or self._fields):
            return
        names, values = names_of(incident), _Values(incident)
        found = [silence for name in names for silence in self._named.get(name, ())]
        if self._any_glob is not None and any(map(self._any_glob.match, names)):
            found += [each for each in self._globs if any(globs.matches(name, each.owner) for name in names)]
        for field, any_value in self._any_value.items():
            if any(any_value.match(value[:MAX_VALUE]) for value in values[field] or ("",)):
                found += [silence for matcher, silence in self._fields[field] if matcher.fits(values[field])]
        for silence in (*found, *self._everywhere):
            if all(each.fits(values[each.field]) for each in silence.matchers) and silence.matches(incident, now):
                yield silence

    def windows_of(self, incident: Incident, now: float) -> Iterator[OpenWindow]:
        """Yields the open windows that cover the incident, each with its interval."""
        if not (opened := self._opened(now)).windows:
            return
        named = opened.any_target is not None and any(map(opened.any_target.match, maintenance_names(incident)))
        for window, interval in opened.windows:
            if (named or not window.target) and window.covers(incident):
                yield window, interval

    def open_windows(self, now: float) -> Sequence[OpenWindow]:
        """Returns the windows that are open, each with its interval."""
        return self._opened(now).windows

    def _opened(self, now: float) -> _OpenWindows:
        if self._open is None or self._open.at != now:
            found = [(window, interval) for window in self._windows if (interval := window.open_at(now)) is not None]
            targets = [window.target for window, _ in found if window.target]
            self._open = _OpenWindows(at=now, windows=found, any_target=globs.any_of(targets) if targets else None)
        return self._open

    def muted_until(self, user: str, now: float) -> float:
        """Returns until when the person with this Slack id is muted; 0 if they are not."""
        until = self._muted.get(user, 0.0)
        return until if until > now else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenWindows:
    """The windows that are open at one time. `any_target`: matches the names that any of their targets matches."""

    at: float
    windows: Sequence[OpenWindow]
    any_target: re.Pattern[str] | None


class _Values(dict[str, Sequence[str]]):
    """The values of an incident's fields, each computed once."""

    def __init__(self, incident: Incident) -> None:
        super().__init__()
        self._incident = incident

    def __missing__(self, name: str) -> Sequence[str]:
        self[name] = values_of(self._incident, name)
        return self[name]
