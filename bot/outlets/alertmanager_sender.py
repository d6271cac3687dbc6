"""Sends Quarterdeck's alerts to Alertmanagers, by version 2 of their API.

An Alertmanager takes an alert as resolved when its `endsAt` is over. So every firing alert is sent again each minute,
with an end four minutes ahead. A resolved alert is sent with its end for some minutes. Nothing is stored here: the
alerts in the store are sent. Each Alertmanager gets every alert, as from Prometheus; they agree among themselves which
of them notifies people. An alert that came from an Alertmanager is not sent to one.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bot.outlets.http_sender import HttpSender, SendOutcome, Sent
from bot.outlets.webhook import rfc3339
from core.model.alerts import Alert, AlertState, Severity
from core.model.containers import COMPOSE_SERVICE_LABEL
from core.model.incidents import Incident
from core.model.owners import SWARM_SERVICE_NAME_LABEL, project_of
from core.text import mentions, redact, sanitize

PATH = "/api/v2/alerts"
REPEAT_SECONDS = 60.0
ENDS_AFTER_NS = 240 * 1_000_000_000
RESOLVED_NS = 15 * 60 * 1_000_000_000  # for which a resolved alert is sent again
BATCH = 50  # alerts in one request: some milliseconds of work
MAX_TEXTS = 20_000  # alerts whose texts are kept
MAX_TEXT = 1_000  # characters of a label or an annotation
REPORTER = "quarterdeck"
"""The label `reporter` of every alert that we send. It shows when our own alert comes back to us."""
SEVERITIES = {Severity.HIGH: "critical", Severity.MEDIUM: "warning", Severity.LOW: "info"}


class AlertmanagerSender:
    """One Alertmanager. `url`: its address. `link`: the address to which its messages link. `authorization`: the header
    of that name; empty for none."""

    kind = "alertmanager"

    def __init__(self, url: str, link: str, sender: HttpSender, *, authorization: str = "") -> None:
        self.name = url.rstrip("/")
        self._url = self.name + PATH
        self._link = link
        self._sender = sender
        self._headers = {"Content-Type": "application/json"}
        self._texts: dict[str, tuple[tuple[str, int, AlertState], Mapping[str, Mapping[str, str]]]] = {}
        if authorization:
            self._headers["Authorization"] = authorization

    async def send(self, incidents: Sequence[Incident], now_ns: int) -> Sent:
        """Sends the alerts of these incidents. Returns the first failure, or else the first refusal."""
        alerts = [
            (incident, alert)
            for incident in incidents
            for alert in incident.alerts
            if not alert.source and (alert.state is AlertState.FIRING or now_ns - alert.at_ns < RESOLVED_NS)
        ]
        result = Sent(outcome=SendOutcome.DELIVERED)
        if len(self._texts) > MAX_TEXTS:
            self._texts.clear()
        for start in range(0, len(alerts), BATCH):
            bodies = [self._body(incident, alert, now_ns) for incident, alert in alerts[start : start + BATCH]]
            sent = await self._sender.send("POST", self._url, msgspec.json.encode(bodies), self._headers)
            if sent.outcome is SendOutcome.FAILED:
                return sent
            if sent.outcome is SendOutcome.REFUSED:
                result = sent
        return result

    def _body(self, incident: Incident, alert: Alert, now_ns: int) -> Mapping[str, Any]:
        """Searching texts for secrets is the most work, and an alert is sent again each minute."""
        state = (incident.id, alert.at_ns, alert.state)
        known = self._texts.get(alert.fingerprint)
        if known is None or known[0] != state:
            known = self._texts[alert.fingerprint] = (state, alert_texts(incident, alert))
        return {**known[1], **_times(alert, now_ns), "generatorURL": self._link}


def alert_texts(incident: Incident, alert: Alert) -> Mapping[str, Mapping[str, str]]:
    """Returns the labels and the annotations of an alert. Its labels are the same for as long as it fires."""
    subject, labels = alert.subject, alert.labels
    named = {
        "alertname": alert.rule,
        "severity": SEVERITIES[alert.severity],
        "host": subject.engine.host,
        "engine": subject.engine.kind
        if subject.engine.name == "default"
        else f"{subject.engine.kind}/{subject.engine.name}",
        "kind": str(subject.kind),
        "owner": alert.owner,
        "project": project_of(labels),
        "service": labels.get(COMPOSE_SERVICE_LABEL) or labels.get(SWARM_SERVICE_NAME_LABEL) or "",
        "team": alert.team,
        "reporter": REPORTER,
    }
    notes = {
        "summary": f"{alert.owner}: {alert.problem}",
        "description": alert.cause.text if alert.cause is not None else "",
        "subject": str(subject),
        "incident": incident.id,
    }
    return {"labels": _texts(named), "annotations": _texts(notes)}


def _times(alert: Alert, now_ns: int) -> Mapping[str, str]:
    firing = alert.state is AlertState.FIRING
    ends = now_ns + ENDS_AFTER_NS if firing else max(alert.at_ns, alert.since_ns + 1_000_000)
    return {"startsAt": rfc3339(alert.since_ns), "endsAt": rfc3339(ends)}


def basic(username: str, password: str) -> str:
    """Returns the header Authorization of basic authentication."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _texts(values: Mapping[str, str]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items() if value}


@functools.lru_cache(maxsize=1_000)  # most labels have few values
def _text(value: str) -> str:
    """The Alertmanager's templates may write labels into a chat as they are, so they must mention nobody."""
    text = redact.redact(sanitize.single_line(value.encode("utf-8", "replace").decode(), MAX_TEXT))
    return mentions.remove_mentions(text)
