"""Receives alerts from Prometheus' Alertmanager: the requests of its webhook receiver, version 4.

A request is checked in this order: the method, the sender's credentials, the content type, the size, the JSON. Then its
alerts are stored, and after that the response is 200. If the store does not answer, the response is 503, and
Alertmanager sends the request again. An alert is identified by its fingerprint and its start, so a second delivery
changes nothing. The first delivery decides which container an alert is about. Its end is assigned to the same
container, even if that container was removed. Alerts with one name about one container or pod are one incident; each
other alert is an incident of its own. An alert that Quarterdeck itself sent to an Alertmanager is ignored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from bot.http_server import plain_response
from bot.notify.incident_writer import IncidentWriter
from bot.outlets.alert_target_finder import AlertTarget, AlertTargetFinder
from bot.outlets.alertmanager_sender import REPORTER
from collectors import quarterdeck_labels
from core import errors, metrics
from core.model.alerts import Alert, AlertState, Severity, severity_named
from core.model.refs import EngineRef, Kind, Ref
from core.store.outlets import OutletStore
from core.text import sanitize
from runtimes.inventory.mirror import Mirror

if TYPE_CHECKING:
    from aiohttp import web

log = structlog.get_logger(__name__)
PATH = "/api/alertmanager"
MAX_BODY = 16 << 20  # bytes
ALERTS_AT_ONCE = 200  # of a request: so many are decoded and stored, then the next
MAX_OPEN = 10_000  # alerts that fire at once
MAX_NAME, MAX_TEXT = 100, 400  # characters
SOURCE = "alertmanager"
UNKNOWN = EngineRef(host="alertmanager", kind="prometheus")
"""The engine of an alert about something that Quarterdeck does not watch."""
_OBJECTS = (  # of Kubernetes, in a namespace; `instance` and `job` of an alert about them are those of the exporter
    "pod", "deployment", "statefulset", "daemonset", "replicaset", "cronjob", "job_name", "horizontalpodautoscaler",
    "persistentvolumeclaim", "poddisruptionbudget", "resourcequota",
)  # fmt: skip
_PLACES = ("node", "instance", "service", "namespace", "job", "cluster")


class _Alert(msgspec.Struct, frozen=True, rename="camel"):
    status: str
    labels: dict[str, str]
    fingerprint: str
    starts_at: datetime
    ends_at: datetime | None = None
    annotations: dict[str, str] = {}
    generator_url: str = msgspec.field(default="", name="generatorURL")


class _Request(msgspec.Struct, frozen=True):
    version: str
    alerts: list[msgspec.Raw]  # thousands are not decoded at once


_decode = msgspec.json.Decoder(_Request).decode
_decode_alert = msgspec.json.Decoder(_Alert).decode
_encode = msgspec.json.Encoder().encode
_decode_stored = msgspec.json.Decoder(Alert).decode


class AlertReceiver:
    """Answers the requests to PATH. `token`, or `username` and `password`: what a sender must know."""

    def __init__(
        self,
        store: OutletStore,
        writer: IncidentWriter,
        counts: metrics.Metrics,
        mirrors: Callable[[], Sequence[Mirror]],
        *,
        token: str = "",
        username: str = "",
        password: str = "",
    ) -> None:
        self._store = store
        self._writer = writer
        self._counts = counts
        self._mirrors = mirrors
        self._accepted = [f"bearer {token}"] if token else []
        self._accepted += [f"basic {username}:{password}"] if password else []

    def body_limit(self, request: web.BaseRequest) -> int:
        """Returns how many bytes of the body are read: none from a stranger."""
        return MAX_BODY if self._is_known(request) else 0

    async def handle(self, request: web.BaseRequest, body: bytes) -> web.Response:
        if request.method != "POST":
            response = plain_response(405, b"Only POST is allowed.\n")
            response.headers["Allow"] = "POST"
            return response
        if not self._is_known(request):
            self._counts.alerts_received_total.labels("unauthorized").inc()
            response = plain_response(401, b"The token, or the username and password, is missing or wrong.\n")
            response.headers["WWW-Authenticate"] = 'Bearer, Basic realm="quarterdeck"'
            return response
        if request.content_type != "application/json" or "Content-Encoding" in request.headers:
            return self._refuse(415, "The content type must be application/json, without compression.")
        try:
            alerts = self._read(body)
        except errors.BadUsage as error:
            return self._refuse(400, error.full_message())
        try:
            for start in range(0, len(alerts), ALERTS_AT_ONCE):
                await self._take([_decode_alert(each) for each in alerts[start : start + ALERTS_AT_ONCE]])
        except errors.StoreError as error:
            self._counts.alerts_received_total.labels("not_stored").inc(len(alerts))
            log.warning("Alerts of an Alertmanager could not be stored.", alerts=len(alerts), reason=error.message)
            response = plain_response(503, b"The store does not answer. Send the request again.\n")
            response.headers["Retry-After"] = "5"
            return response
        return plain_response(200, f"{len(alerts)} alerts were taken.\n".encode())

    # ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _is_known(self, request: web.BaseRequest) -> bool:
        """Compares in a time that does not depend on how much of it is right."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        scheme = scheme.lower()
        if scheme == "basic":
            try:
                given = base64.b64decode(given.strip(), validate=True).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                return False
        digest = _digest(f"{scheme} {given.strip()}")
        matches = [hmac.compare_digest(digest, _digest(accepted)) for accepted in self._accepted]
        return any(matches)

    def _refuse(self, status: int, text: str) -> web.Response:
        self._counts.alerts_received_total.labels("refused").inc()
        log.warning("A webhook request of an Alertmanager was refused.", status=status, reason=text)
        return plain_response(status, f"{text}\n".encode("utf-8", "replace"))

    @staticmethod
    def _read(body: bytes) -> Sequence[msgspec.Raw]:
        """Checks a request and all of its alerts. Raises BadUsage with what is wrong."""
        try:
            request = _decode(body)
            faults = [(number, _fault(_decode_alert(each))) for number, each in enumerate(request.alerts, 1)]
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            where = sanitize.single_line(str(error), 200)
            raise errors.BadUsage(
                f"The request body is not a webhook notification of Alertmanager: {where}.",
                hint="In alertmanager.yml, use this address only under webhook_configs.",
            ) from None
        if request.version != "4":
            raise errors.BadUsage(
                f"Version “{sanitize.single_line(request.version, 20)}” of the request is not supported.",
                hint="Use Alertmanager 0.8 or later, which sends version 4.",
            )
        for number, fault in faults:
            if fault:
                raise errors.BadUsage(
                    f"Alert {number} of the request is not valid: {fault}.",
                    hint="Check which program sends these requests: it must be Alertmanager.",
                )
        return request.alerts

    # ── alerts ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _take(self, received: Sequence[_Alert]) -> None:
        """Stores alerts. Raises StoreError."""
        foreign = [alert for alert in received if alert.labels.get("reporter") != REPORTER]
        self._counts.alerts_received_total.labels("own").inc(len(received) - len(foreign))
        stored = await self._store.received_alerts([fingerprint_of(alert.fingerprint) for alert in foreign])
        room = MAX_OPEN - await self._store.received_alert_count() if foreign else 0
        finder = AlertTargetFinder(self._mirrors())
        opened: dict[str, Alert] = {}
        taken: list[Alert] = []
        for alert in foreign:
            fingerprint = fingerprint_of(alert.fingerprint)
            known = opened.get(fingerprint) or _stored(stored.get(fingerprint))
            if alert.status == "resolved":
                if known is None:
                    self._counts.alerts_received_total.labels("unknown").inc()
                else:
                    taken.append(_resolved(known, alert))
                continue
            if known is None or _ns(alert.starts_at) > known.since_ns:
                if known is None and len(opened) >= room:
                    self._counts.alerts_received_total.labels("overflow").inc()
                    continue
                found = finder.find(alert.labels)
                if found is not None and quarterdeck_labels.are_alerts_off(found.labels):
                    self._counts.alerts_received_total.labels("switched_off").inc()
                    continue
                known = opened[fingerprint] = _opened(fingerprint, alert, found)
            taken.append(known)
        # First the alerts and then the incidents: what is repeated after a failure finds the same subject.
        await self._store.put_received_alerts({key: _encode(alert) for key, alert in opened.items()})
        await self._writer.store_now(taken)
        await self._store.remove_received_alerts(
            [alert.fingerprint for alert in taken if alert.state is AlertState.RESOLVED]
        )
        self._counts.alerts_received_total.labels("stored").inc(len(taken))


def _fault(alert: _Alert) -> str:
    """Returns what makes an alert invalid; empty if nothing does."""
    if not alert.fingerprint:
        return "it has no fingerprint"
    if alert.starts_at.tzinfo is None:
        return "its startsAt has no time zone"
    if alert.status not in ("firing", "resolved"):
        return f"its status is “{sanitize.single_line(alert.status, 20)}”, neither firing nor resolved"
    return ""


def fingerprint_of(foreign: str) -> str:
    """Returns 12 hexadecimal digits for a fingerprint of Alertmanager, different from those of our own alerts."""
    return hashlib.blake2s(f"{SOURCE}\0{foreign}".encode("utf-8", "replace"), digest_size=6).hexdigest()


def _opened(fingerprint: str, alert: _Alert, found: AlertTarget | None) -> Alert:
    labels, notes = alert.labels, alert.annotations
    name = sanitize.single_line(labels.get("alertname", ""), MAX_NAME) or "alert"
    at = _ns(alert.starts_at)
    text = next((notes[each] for each in ("summary", "message", "description") if notes.get(each)), name)
    own = found.labels if found is not None else {}
    subject = found.ref if found is not None else Ref(engine=UNKNOWN, kind=Kind.BOT, id=fingerprint, name=name)
    return Alert(
        fingerprint=fingerprint,
        rule=name,
        topic=f"{SOURCE}:{name}" if found is not None or labels.get("pod") else f"{SOURCE}:{name}:{fingerprint}",
        severity=quarterdeck_labels.severity(own, severity_named(labels.get("severity", "")) or Severity.MEDIUM),
        state=AlertState.FIRING,
        subject=subject,
        owner=found.owner if found is not None else _place(labels) or name,
        since_ns=at,
        at_ns=at,
        text=sanitize.single_line(text, MAX_TEXT).rstrip("."),
        labels=dict(own),
        labels_known=found is None or found.ref.kind is Kind.CONTAINER,
        team=quarterdeck_labels.team(own) or sanitize.single_line(labels.get("team", ""), MAX_NAME),
        channel=quarterdeck_labels.channel(own),
        source=SOURCE,
        link=_link(alert.generator_url),
    )


def _resolved(known: Alert, alert: _Alert) -> Alert:
    ended = _ns(alert.ends_at) if alert.ends_at is not None and alert.ends_at.tzinfo is not None else 0
    return msgspec.structs.replace(
        known, state=AlertState.RESOLVED, at_ns=max(ended, known.at_ns), text="Alertmanager reports that it is over"
    )


def _stored(value: bytes | None) -> Alert | None:
    """Decodes a stored alert; None for one that another version wrote and this one cannot read."""
    try:
        return None if value is None else _decode_stored(value)
    except (msgspec.DecodeError, ValueError):
        return None


def _place(labels: dict[str, str]) -> str:
    """Names what an alert is about that no engine here has."""
    if found := next((labels[each] for each in _OBJECTS if labels.get(each)), ""):
        return sanitize.single_line("/".join(filter(None, (labels.get("namespace"), found))), MAX_NAME)
    return sanitize.single_line(next((labels[each] for each in _PLACES if labels.get(each)), ""), MAX_NAME)


def _link(url: str) -> str:
    return url if url.startswith(("http://", "https://")) and url.isprintable() and len(url) <= MAX_TEXT else ""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _ns(at: datetime) -> int:
    """Returns nanoseconds since the epoch; 0 for an earlier time, such as the year 1 of an end that is not known."""
    return max(0, int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1_000)
