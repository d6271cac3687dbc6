"""Defines silences: for some time, incidents about certain owners are not posted. They are still found and listed."""

from __future__ import annotations

import fnmatch

import msgspec

from core.model.incidents import Incident

MAX_SILENCES = 500


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """One silence. `owner`: a glob over the owner, the name and the id of an incident. `rule`: a glob over its rules;
    empty for all. `until`: seconds since the epoch. `by`, `by_name`: who asked for it."""

    id: str
    owner: str
    until: float
    by: str
    by_name: str = ""
    rule: str = ""
    reason: str = ""

    def matches(self, incident: Incident, now: float) -> bool:
        if now >= self.until:
            return False
        names = {incident.id, incident.main.owner, *(alert.subject.name for alert in incident.alerts)}
        if not any(fnmatch.fnmatchcase(name, self.owner) for name in names):
            return False
        return not self.rule or all(fnmatch.fnmatchcase(alert.rule, self.rule) for alert in incident.firing)
