"""Sends incidents to one address as signed JSON. docs/alerts.md has the schema and shows how to verify a signature.

The signature follows the Standard Webhooks specification (v1): HMAC-SHA-256 over the id, the time and the body. The
same state of an incident always has the same id, so a receiver recognises what it was sent twice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bot.outlets.http_sender import HttpSender, Sent
from core.model.alert_routes import Matcher
from core.model.alerts import Alert, AlertState, Severity
from core.model.incidents import Incident
from core.model.owners import project_of
from core.text import mentions, redact
from core.version import read_quarterdeck_version

SCHEMA_VERSION = 1
SECRET_PREFIX = "whsec_"  # noqa: S105 (of the specification: what follows is base64)
MAX_TEXT = 2_000  # characters of one field
_SEVERITIES = tuple(Severity)


class Webhook:
    """One receiver. `severity`: incidents below it are not sent. `matchers`: what an incident must have. An incident
    that had all this before one of its alerts ended is sent too, so that the receiver gets the end."""

    kind = "webhook"

    def __init__(
        self,
        name: str,
        url: str,
        secret: str,
        sender: HttpSender,
        *,
        severity: Severity = Severity.LOW,
        matchers: Sequence[Matcher] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._url = url
        self._key = signing_key(secret)
        self._sender = sender
        self._severity = severity
        self._matchers = tuple(matchers)
        self._now = now

    def wants(self, incident: Incident) -> bool:
        ended = (alert for alert in incident.alerts if alert.state is AlertState.RESOLVED)
        return self._wants(incident) or any(self._wants(_as_before(incident, alert)) for alert in ended)

    def _wants(self, incident: Incident) -> bool:
        severe = _SEVERITIES.index(incident.severity) <= _SEVERITIES.index(self._severity)
        return severe and all(matcher.matches(incident) for matcher in self._matchers)

    async def send(self, incident: Incident) -> Sent:
        body = msgspec.json.encode(payload(incident))
        headers = signed_headers(self._key, f"{incident.id}.{incident.version}", int(self._now()), body)
        return await self._sender.send("POST", self._url, body, headers)


def _as_before(incident: Incident, ended: Alert) -> Incident:
    """Returns the incident as it was before this alert ended."""
    fires = msgspec.structs.replace(ended, state=AlertState.FIRING)
    alerts = tuple(fires if each is ended else each for each in incident.alerts)
    return msgspec.structs.replace(incident, alerts=alerts)


def payload(incident: Incident) -> Mapping[str, Any]:
    """Returns the body of the request about an incident in its present state."""
    main = incident.main
    data = {
        "id": incident.id,
        "state": str(incident.state),
        "severity": str(incident.severity),
        "owner": _text(main.owner),
        "text": _text(main.text),
        "cause": _text(main.cause.text) if main.cause is not None else "",
        "subject": _subject(main),
        "project": _text(project_of(main.labels)),
        "team": _text(main.team),
        "began_at": rfc3339(incident.began_ns),
        "changed_at": rfc3339(incident.changed_ns),
        "count": incident.count,
        "opened": incident.opened,
        "found_late": main.late,
        "acknowledged_by": incident.acknowledged_by,
        "acknowledged_name": _text(incident.acknowledged_name),
        "alerts": [
            {
                "fingerprint": alert.fingerprint,
                "rule": _text(alert.rule),
                "source": alert.source,
                "severity": str(alert.severity),
                "state": str(alert.state),
                "text": _text(alert.text),
                "count": alert.count,
                "began_at": rfc3339(alert.since_ns),
                "changed_at": rfc3339(alert.at_ns),
            }
            for alert in incident.alerts
        ],
    }
    return {
        "version": SCHEMA_VERSION,
        "type": f"incident.{incident.state}",
        "timestamp": rfc3339(incident.changed_ns),
        "sequence": incident.version,
        "data": data,
    }


def signing_key(secret: str) -> bytes:
    """Returns the key of a secret: what follows `whsec_` is base64, any other secret is the key itself."""
    if secret.startswith(SECRET_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode("utf-8", "surrogatepass")


def signed_headers(key: bytes, id: str, at: int, body: bytes) -> Mapping[str, str]:  # noqa: A002
    """Returns the headers of a request with this body, sent at `at` (seconds since the epoch)."""
    digest = hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Quarterdeck/{read_quarterdeck_version()}",
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def rfc3339(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _subject(alert: Alert) -> Mapping[str, str]:
    subject = alert.subject
    return {
        "kind": str(subject.kind),
        "name": _text(subject.name),
        "id": _text(subject.id),
        "engine": subject.engine.kind,
        "host": _text(subject.engine.host),
    }


def _text(value: str) -> str:
    """Hides secrets, and then cuts what is too long. Lone surrogates, which are no UTF-8, are replaced. The receiver
    may pass the text on to a chat, where it must mention nobody."""
    text = redact.redact(value.encode("utf-8", "replace").decode()[: 10 * MAX_TEXT])[:MAX_TEXT]
    return mentions.remove_mentions(text)
