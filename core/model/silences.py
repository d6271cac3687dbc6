"""Defines silences, snoozes and mutes. For some time, certain incidents are not posted, or one person is not
mentioned. The incidents are still found and listed.
"""

from __future__ import annotations

import msgspec

from core.model import globs
from core.model.alert_routes import Matcher
from core.model.incidents import Incident

MAX_SILENCES = 500


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """One silence. `owner`: a glob over the owner, the name and the id of an incident. `rule`: a glob over the rules
    that fire, or all its rules if it is over; empty for all. `matchers`: all of them must match too. `until`: seconds
    since the epoch. `by`, `by_name`: who asked for it. `until_resolved`: it also ends when no open incident matches it
    any more. `reminds`: it is a snooze; at its end, the thread of an incident that is still open says so."""

    id: str
    owner: str
    until: float
    by: str
    by_name: str = ""
    rule: str = ""
    reason: str = ""
    until_resolved: bool = False
    matchers: tuple[Matcher, ...] = ()
    reminds: bool = False

    def matches(self, incident: Incident, now: float) -> bool:
        if now >= self.until:
            return False
        if self.owner != "*" and not any(globs.matches(name, self.owner) for name in names_of(incident)):
            return False
        if self.rule and not all(globs.matches(alert.rule, self.rule) for alert in incident.firing or incident.alerts):
            return False
        return all(matcher.matches(incident) for matcher in self.matchers)

    def what(self) -> str:
        """Says which incidents it is about."""
        named = [] if self.owner == "*" and self.matchers else [self.owner]
        return ", ".join([*named, *([f"rule {self.rule}"] if self.rule else []), *map(str, self.matchers)])


def names_of(incident: Incident) -> frozenset[str]:
    """Returns the names with which the owner of a silence is compared."""
    return frozenset((incident.id, incident.main.owner, *(alert.subject.name for alert in incident.alerts)))


class Mute(msgspec.Struct, frozen=True):
    """One person whom no incident mentions and to whom none is sent as a direct message. `until`: seconds since the
    epoch."""

    until: float
    name: str = ""
