"""Defines routes: where an incident is posted, whom its message mentions, and when it waits.

The first route that matches an incident decides, and further routes only if it says so. If no route matches, the
default channel gets the incident. A label of a container may name a channel, but only one that the configuration names
too, because people who create containers choose their labels.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import field, replace

from core.lazy_dataclass import dataclass
from core.model import globs
from core.model.containers import COMPOSE_SERVICE_LABEL
from core.model.daily_hours import DailyHours
from core.model.incidents import Incident
from core.model.owners import SWARM_SERVICE_NAME_LABEL, project_of
from core.model.refs import Kind

FIELDS = ("engine", "host", "kind", "name", "owner", "project", "service", "rule", "severity", "team")
LABEL = "label."
OPERATORS = ("=~", "!~", "!=", "=")
NOWHERE = "nowhere"
MAX_DESTINATIONS = 10
MAX_VALUE = 1_000  # characters of a value that a pattern sees
MAX_GROUP = 80  # characters of one value in the name of a group


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """Compares one field of an incident with patterns, of which one must match. `operator`: = and != compare with
    globs, =~ and !~ with regular expressions that match the whole value."""

    field: str
    operator: str
    patterns: tuple[str, ...]

    def matches(self, incident: Incident) -> bool:
        return self.fits(values_of(incident, self.field))

    def fits(self, found_values: Sequence[str]) -> bool:
        """Whether these values of the field match."""
        values = [value[:MAX_VALUE] for value in found_values] or [""]
        found = any(self._fits(pattern, value) for pattern in self.patterns for value in values)
        return found is not self.operator.startswith("!")

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{'|'.join(self.patterns)}"

    def _fits(self, pattern: str, value: str) -> bool:
        if self.operator.endswith("~"):
            return re.fullmatch(pattern, value) is not None
        return globs.matches(value, pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. `to`: channels (`C…`, `G…`, `#name`) and people (`U…`, `W…`); empty for nowhere. `mention`: ids of
    user groups (`S…`) and people. `group_by`: incidents with the same values of these fields share one message while
    one of them is open. `repeat`: seconds between reminders of an open incident that nobody takes care of; 0 for none.
    `quiet`: nothing is posted in these hours. `logs`: log lines may be shown in its channels. `further`: the routes
    after it may match too."""

    matchers: tuple[Matcher, ...] = ()
    to: tuple[str, ...] = ()
    mention: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    repeat: float = 0.0
    quiet: DailyHours | None = None
    logs: bool = False
    further: bool = False

    def matches(self, incident: Incident) -> bool:
        return all(matcher.matches(incident) for matcher in self.matchers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One place where an incident is posted, with what its route says. `to`: as in Route. `group`: the name of the
    group that it belongs to there; empty for none. `silent`: nobody may be called now, so a message may only be
    edited."""

    to: str
    mention: tuple[str, ...] = ()
    group: str = ""
    repeat: float = 0.0
    quiet: DailyHours | None = None
    logs: bool = False
    silent: bool = False

    @property
    def is_person(self) -> bool:
        return self.to.startswith(("U", "W"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """All routes, in order. `default`: where an incident goes that no route matches; empty for nowhere. `channels`:
    those that a label of a container may name, besides those of the routes. If more than `storm_size` incidents of one
    channel begin within `storm_seconds`, they share one message."""

    routes: tuple[Route, ...] = ()
    default: str = ""
    channels: frozenset[str] = field(default_factory=frozenset)
    storm_size: int = 3
    storm_seconds: float = 30.0

    @property
    def repeats(self) -> bool:
        return any(route.repeat for route in self.routes)

    @property
    def groups(self) -> bool:
        return any(route.group_by for route in self.routes)

    @property
    def posts(self) -> bool:
        """Whether any incident could be posted anywhere."""
        return bool(self.default) or any(route.to for route in self.routes)

    @property
    def common_channels(self) -> tuple[str, ...]:
        """The channels that concern everybody: the default one, and those of the routes that match everything."""
        routed = (to for route in self.routes if not route.matchers for to in route.to if not is_person(to))
        return tuple(dict.fromkeys(filter(None, (self.default, *routed))))

    def may_name(self, channel: str) -> bool:
        """Whether a label may name this channel."""
        named = {self.default, *self.channels, *(to for route in self.routes for to in route.to)} - {""}
        return channel in named

    def destinations(self, incident: Incident) -> Sequence[Destination]:
        """Returns where an incident is posted. Each place appears once: what the first route says about it counts."""
        matching = self._matching(incident)
        wanted = incident.main.channel
        if wanted and self.may_name(wanted) and all(route.to for route in matching):
            return (self._named_by_label(wanted, matching, incident),)
        found: dict[str, Destination] = {}
        for route in matching:
            for to in route.to:
                found.setdefault(to, _destination(route, to, incident))
        if not matching and self.default:
            found[self.default] = Destination(to=self.default)
        return tuple(found.values())[:MAX_DESTINATIONS]

    def _matching(self, incident: Incident) -> Sequence[Route]:
        found = []
        for route in self.routes:
            if route.matches(incident):
                found.append(route)
                if not route.further:
                    break
        return found

    def _named_by_label(self, channel: str, matching: Sequence[Route], incident: Incident) -> Destination:
        """A label moves the message, but it lets nobody be mentioned and shows no log lines. Only a route to this very
        channel does."""
        own = next((route for route in matching if channel in route.to), None)
        if own is not None:
            return _destination(own, channel, incident)
        if not matching:
            return Destination(to=channel)
        return replace(_destination(matching[0], channel, incident), mention=(), logs=False)


def values_of(incident: Incident, name: str) -> Sequence[str]:
    """Returns the values of a field of an incident. Several values are names of the same thing; none is unknown."""
    main = incident.main
    subject, labels = main.subject, main.labels
    if name.startswith(LABEL):
        return [labels[name.removeprefix(LABEL)]] if name.removeprefix(LABEL) in labels else []
    match name:
        case "engine":
            return [subject.engine.kind, str(subject.engine)]
        case "host":
            return [subject.engine.host]
        case "kind":
            return [str(subject.kind)]
        case "name":
            return list(dict.fromkeys(alert.subject.name for alert in incident.alerts))
        case "owner":
            return [main.owner]
        case "project":
            return [project] if (project := project_of(labels)) else []
        case "service":
            service = labels.get(COMPOSE_SERVICE_LABEL) or labels.get(SWARM_SERVICE_NAME_LABEL) or ""
            return [service or main.owner] if service or subject.kind in (Kind.SERVICE, Kind.TASK) else []
        case "rule":
            return list(dict.fromkeys(alert.rule for alert in incident.firing or incident.alerts))
        case "severity":
            return [str(incident.severity)]
        case "team":
            return [main.team] if main.team else []
    return []


def parse_matcher(text: str) -> Matcher | None:
    """Returns the matcher of `team=payments` or `severity!=high`; None for any other text and for an unknown field.
    Regular expressions are only for the configuration: one that is typed could search for minutes."""
    found = re.fullmatch(r"([a-z]+|label\.[^=!~\s]+)(!=|=)(?!~)(.*)", text, re.DOTALL)
    if found is None or not (found[1] in FIELDS or found[1].startswith(LABEL)):
        return None
    return Matcher(field=found[1], operator=found[2], patterns=(found[3],))


def is_mentionable(word: str) -> bool:
    """Whether Slack would take this word as the id of a user group or of a person."""
    return re.fullmatch(r"[SUW][A-Z0-9]{2,30}", word) is not None


def is_channel(word: str) -> bool:
    """Whether this is the id of a Slack channel."""
    return re.fullmatch(r"[CG][A-Z0-9]{2,30}", word) is not None


def is_person(word: str) -> bool:
    return re.fullmatch(r"[UW][A-Z0-9]{2,30}", word) is not None


def group_of(incident: Incident, fields: Collection[str]) -> str:
    """Names the group of an incident by the values of these fields, such as `of project shop, host h1`."""
    parts = []
    for name in fields:
        values = values_of(incident, name)
        parts.append(f"{name.removeprefix(LABEL)} {values[-1][:MAX_GROUP] if values else 'unknown'}")
    return f"of {', '.join(parts)}" if parts else ""


def _destination(route: Route, to: str, incident: Incident) -> Destination:
    return Destination(
        to=to,
        mention=route.mention,
        group=group_of(incident, route.group_by),
        repeat=route.repeat,
        quiet=route.quiet,
        logs=route.logs,
    )
