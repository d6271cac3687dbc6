"""Defines silences, snoozes and mutes. For some time, certain incidents are not posted, or one person is not
mentioned. The incidents are still found and listed.
"""

from __future__ import annotations

import fnmatch

import msgspec

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
        names = {incident.id, incident.main.owner, *(alert.subject.name for alert in incident.alerts)}
        if not any(fnmatch.fnmatchcase(name, self.owner) for name in names):
            return False
        rules = {alert.rule for alert in incident.firing or incident.alerts}
        if self.rule and not all(fnmatch.fnmatchcase(rule, self.rule) for rule in rules):
            return False
        return all(matcher.matches(incident) for matcher in self.matchers)

    def what(self) -> str:
        """Says which incidents it is about."""
        named = [] if self.owner == "*" and self.matchers else [self.owner]
        return ", ".join([*named, *([f"rule {self.rule}"] if self.rule else []), *map(str, self.matchers)])


class Mute(msgspec.Struct, frozen=True):
    """One person whom no incident mentions and to whom none is sent as a direct message. `until`: seconds since the
    epoch."""

    until: float
    name: str = ""
