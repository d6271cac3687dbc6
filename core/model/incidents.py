"""Defines incidents: one problem of one owner, made of the alerts that report it, and what people did about it. An
owner is what stays when a container is replaced, such as a replica of a service (core.model.owners).

Alerts with the same engine, owner and topic are one incident: for example a crash, the crash loop that follows, and the
missing restart. An incident ends when all of its alerts are resolved. If it fires again soon, it is reopened, and no
new incident begins.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from core.model.alerts import Alert, AlertState, Severity
from core.model.refs import EngineRef, Kind

REOPEN_NS = 3600 * 1_000_000_000  # how long after its end an incident is reopened
RESOLVED_DAYS = 7  # how long resolved incidents are stored
MAX_ALERTS = 16  # of one incident; rules with one topic are few
MAX_NOTES = 20
_ORDER = (Severity.HIGH, Severity.MEDIUM, Severity.LOW)


class IncidentState(enum.StrEnum):
    """The states of an incident."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class IncidentNote(msgspec.Struct, frozen=True, gc=False):
    """Something new about an open incident, for its thread: another alert, or what Quarterdeck did about it. `at_ns`:
    nanoseconds since the epoch; `text`: a sentence."""

    at_ns: int
    text: str


class PostedIncident(msgspec.Struct, frozen=True):
    """Where a message about an incident is. `ts`: Slack's id of the message. `version`: the version of the incident
    that it shows. `told`: how many begins and ends of the incident people were told. `shared`: other incidents have the
    same message. `to`: the destination as the configuration names it; empty if that is the channel. `group`: what the
    incidents of a shared message have in common, in words. `mentioned`: whom it has mentioned. `reminded_at`: when
    people were last told of it by a new message, in seconds since the epoch. `noted`: how many notes people were
    told. `gone`: somebody deleted it, so the next news gets a new message. `storm`: what the incidents of a shared
    message without a group have in common, in words. `held`: what it says about what holds the incident back, such as a
    snooze."""

    channel: str
    ts: str
    version: int
    told: int = 1
    shared: bool = False
    to: str = ""
    group: str = ""
    mentioned: tuple[str, ...] = ()
    reminded_at: float = 0.0
    noted: int = 0
    gone: bool = False
    storm: str = ""
    held: str = ""

    @property
    def destination(self) -> str:
        return self.to or self.channel


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One incident. Times are nanoseconds since the epoch.

    `key`: the same for the same trouble, also after the incident has ended. `id`: the start of the key, and a number
    that is different for each incident with this key. `opened`: how often it began, 1 at first. `version` grows with
    each change that people should see. `acknowledged_by`, `acknowledged_name`: the id and the name of the person who
    takes care of it; empty if nobody does. `posted`: its first message; `also_posted`: those in other places. `notes`:
    the newest ones, the oldest first; `noted`: how many there ever were.
    """

    id: str
    key: str
    alerts: tuple[Alert, ...]
    began_ns: int
    changed_ns: int
    opened: int = 1
    version: int = 1
    acknowledged_by: str = ""
    acknowledged_name: str = ""
    posted: PostedIncident | None = None
    also_posted: tuple[PostedIncident, ...] = ()
    notes: tuple[IncidentNote, ...] = ()
    noted: int = 0

    @property
    def posts(self) -> tuple[PostedIncident, ...]:
        """All messages about it."""
        return () if self.posted is None else (self.posted, *self.also_posted)

    def post_at(self, destination: str) -> PostedIncident | None:
        """Returns its message at this destination."""
        return next((post for post in self.posts if destination in (post.destination, post.channel)), None)

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire, the most severe first."""
        alerts = [alert for alert in self.alerts if alert.state is AlertState.FIRING]
        return tuple(sorted(alerts, key=lambda alert: (_ORDER.index(alert.severity), -alert.at_ns)))

    @property
    def state(self) -> IncidentState:
        if not self.firing:
            return IncidentState.RESOLVED
        return IncidentState.ACKNOWLEDGED if self.acknowledged_by else IncidentState.FIRING

    @property
    def main(self) -> Alert:
        """The alert that describes the incident best: the most severe one that fires, or else the last that did."""
        return (self.firing or tuple(sorted(self.alerts, key=lambda alert: -alert.at_ns)))[0]

    @property
    def severity(self) -> Severity:
        return self.main.severity

    @property
    def turns(self) -> int:
        """How often the incident began and ended."""
        return 2 * self.opened - (self.state is not IncidentState.RESOLVED)

    def notes_after(self, noted: int) -> tuple[IncidentNote, ...]:
        """Returns the notes that came after so many, as far as they are stored."""
        new = min(len(self.notes), max(0, self.noted - noted))
        return self.notes[-new:] if new else ()

    @property
    def count(self) -> int:
        """How often the trouble was found."""
        return max(alert.count for alert in self.alerts)


def incident_key(alert: Alert) -> str:
    """Returns 12 hexadecimal digits that are the same for all alerts about the same trouble."""
    return key_of(alert.topic, alert.subject.engine, alert.subject.kind, alert.owner)


def key_of(topic: str, engine: EngineRef, kind: Kind, owner: str) -> str:
    """Returns the key of the incident about this trouble of this owner."""
    text = "\0".join((topic, str(engine), str(kind), owner))
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def merge_alert(incident: Incident | None, alert: Alert) -> Incident | None:
    """Returns the incident with this alert in it. `incident`: the newest one with the alert's key. Returns None if
    there is nothing to change: the alert is known, it resolves what is not open, or the incident has as many alerts as
    it can and this one is not more severe than any of them.

    Several processes may report the same alert, because they watch the same engine. So a report that is older than the
    stored one, or equal to it, changes nothing.
    """
    stored = None if incident is None else next((each for each in incident.alerts if _same(each, alert)), None)
    if stored is not None and _age(alert) <= _age(stored):
        return None
    if alert.state is AlertState.RESOLVED:
        if incident is None or stored is None or stored.state is AlertState.RESOLVED:
            return None
        return _with_alert(incident, msgspec.structs.replace(alert, resolves=stored.problem))
    if incident is None or (incident.state is IncidentState.RESOLVED and alert.at_ns - incident.changed_ns > REOPEN_NS):
        key = incident_key(alert)
        number = 1 if incident is None else int(incident.id.partition("-")[2] or 1) + 1
        began = alert.since_ns if incident is None else max(alert.since_ns, incident.changed_ns)
        return Incident(id=f"{key[:6]}-{number}", key=key, alerts=(alert,), began_ns=began, changed_ns=alert.at_ns)
    if not _has_room(incident, alert):
        return None
    merged = _with_alert(incident, alert)
    if incident.state is IncidentState.RESOLVED:
        return msgspec.structs.replace(merged, opened=incident.opened + 1, acknowledged_by="", acknowledged_name="")
    if stored is None or stored.state is AlertState.RESOLVED:
        # Another rule found trouble too, such as a crash loop after the first crash.
        merged = _with_note(merged, IncidentNote(alert.at_ns, f"{alert.rule}: {alert.text}"))
    return merged


def add_note(incident: Incident, note: IncidentNote) -> Incident:
    """Returns the incident with one more note."""
    noted = _with_note(incident, note)
    return msgspec.structs.replace(noted, version=incident.version + 1)


def acknowledge(incident: Incident, who: str, name: str = "") -> Incident:
    """Returns the incident as one that the person with this id and name takes care of."""
    return msgspec.structs.replace(
        incident, acknowledged_by=who, acknowledged_name=name or who, version=incident.version + 1
    )


def with_post(incident: Incident, post: PostedIncident) -> Incident:
    """Returns the incident with this message, in place of an earlier one at the same destination."""
    posts = tuple(post if each.destination == post.destination else each for each in incident.posts)
    if post not in posts:
        posts = (*posts, post)
    return msgspec.structs.replace(incident, posted=posts[0], also_posted=posts[1:])


def _with_note(incident: Incident, note: IncidentNote) -> Incident:
    notes = (*incident.notes, note)[-MAX_NOTES:]
    return msgspec.structs.replace(incident, notes=notes, noted=incident.noted + 1)


def _has_room(incident: Incident, alert: Alert) -> bool:
    others = _others(incident, alert)
    return len(others) < MAX_ALERTS or _rank(max(others, key=_rank))[:2] > _rank(alert)[:2]


def _rank(alert: Alert) -> tuple[bool, int, int]:
    """Orders alerts by how much they are worth showing: what fires, what is severe, what is new."""
    over = alert.state is AlertState.RESOLVED
    return (over, 0 if over else _ORDER.index(alert.severity), -alert.at_ns)


def _others(incident: Incident, alert: Alert) -> tuple[Alert, ...]:
    return tuple(each for each in incident.alerts if not _same(each, alert))


def _with_alert(incident: Incident, alert: Alert) -> Incident:
    others = _others(incident, alert)
    if len(others) >= MAX_ALERTS:
        least = max(others, key=_rank)
        others = tuple(each for each in others if each is not least)
    return msgspec.structs.replace(
        incident,
        alerts=(*others, alert),
        changed_ns=max(incident.changed_ns, alert.at_ns),
        version=incident.version + 1,
    )


def _age(alert: Alert) -> tuple[int, bool, int]:
    """Orders the reports of one alert: of two at the same time, the end is the later one."""
    return (alert.at_ns, alert.state is AlertState.RESOLVED, alert.count)


def _same(one: Alert, other: Alert) -> bool:
    return one.fingerprint == other.fingerprint
