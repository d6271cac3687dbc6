"""Defines maintenance windows: while one is open, nothing about its targets is posted. The incidents are still found
and listed. Those that are still open at the end of the window are posted then.
"""

from __future__ import annotations

import msgspec

from core.model import globs
from core.model.daily_hours import DailyHours, Interval
from core.model.incidents import Incident
from core.model.owners import project_of

MAX_WINDOWS = 200


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """One maintenance window, once or recurring. Times are seconds since the epoch.

    `target`: a glob over the owner, the project, the names and the id of an incident; `host`, `engine`: globs over its
    engine; empty for all. `begin`, `end`: of a window that is open once; `hours`: when a recurring one is open.
    `ended_at`: when somebody ended it; 0 if nobody did. `place`: the channel in which it was asked for.
    `told_place`: the reply in `place` said that it is open. `announced_begin`, `announced_end`: the begin of the newest
    interval whose begin and whose end were announced.
    """

    id: str
    by: str
    by_name: str = ""
    target: str = ""
    host: str = ""
    engine: str = ""
    reason: str = ""
    place: str = ""
    begin: float = 0.0
    end: float = 0.0
    hours: DailyHours | None = None
    ended_at: float = 0.0
    told_place: bool = False
    announced_begin: float = 0.0
    announced_end: float = 0.0

    def open_at(self, now: float) -> Interval | None:
        """Returns the interval in which it is open now; None if it is not."""
        if self.ended_at and now >= self.ended_at:
            return None
        if self.hours is not None:
            return self.hours.at(now)
        once = Interval(self.begin, self.end)
        return once if now in once else None

    def is_over(self, now: float) -> bool:
        """Whether it never opens again."""
        return bool(self.ended_at and now >= self.ended_at) or (self.hours is None and now >= self.end)

    def covers(self, incident: Incident) -> bool:
        """Whether the incident is about one of its targets."""
        main = incident.main
        engine = main.subject.engine
        if self.host and not globs.matches(engine.host, self.host):
            return False
        if self.engine and not engine.matches(self.engine):
            return False
        if not self.target:
            return bool(self.host or self.engine)
        return any(globs.matches(name, self.target) for name in names_of(incident))

    def what(self) -> str:
        """Says what its targets are."""
        where = [f"host {self.host}" if self.host else "", f"engine {self.engine}" if self.engine else ""]
        named = ", ".join(part for part in where if part)
        if not self.target:
            return f"everything on {named}"
        return f"{self.target} ({named})" if named else self.target


def names_of(incident: Incident) -> frozenset[str]:
    """Returns the names with which the target of a window is compared."""
    main = incident.main
    names = (incident.id, main.owner, project_of(main.labels), *(alert.subject.name for alert in incident.alerts))
    return frozenset(names) - {""}
