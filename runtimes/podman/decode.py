"""Decodes Podman's containers and events into Quarterdeck's values.

The mapping tables below were found by experiment on Podman 4.3 and 5.4, which agree unless noted.

Events come in three formats: libpod's (`died`), the Docker-compatible one (`die`), and the lines of the event file. An
exit code is read only from the event that reports a container's end, because Podman 4.3 sends "0" with every event, and
its event file omits a zero.

Health events of Podman 4 contain the status before the check, so they are not used. Later versions send an event after
every check, so only changes of the status are passed on.

In a list of containers, the status field contains the health, and times are whole seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from core import errors
from core.model import containers
from core.model.containers import HEALTH_STATES, Container, Port
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind
from runtimes.docker_like import decode as shared
from runtimes.docker_like import event_labels
from runtimes.docker_like import json_models as shared_models
from runtimes.formats import event_attributes, json_decoder, skipped_data, status_text, timestamps
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.podman import json_models

MAX_HEALTHS = 20_000
MAX_PORTS = 1024  # of one container; an entry of a list may mean a range of ports, in several protocols

ACTIONS: dict[str, EventKind] = {
    "create": EventKind.CREATED,
    "start": EventKind.STARTED,
    "restore": EventKind.STARTED,
    "died": EventKind.DIED,
    "die": EventKind.DIED,
    "pause": EventKind.PAUSED,
    "unpause": EventKind.UNPAUSED,
    "remove": EventKind.REMOVED,
    "rename": EventKind.RENAMED,
    "update": EventKind.UPDATED,
    "restart": EventKind.RESTARTED,
    "stop": EventKind.STOPPED,
    "kill": EventKind.KILLED,
    "health_status": EventKind.HEALTH,
}
KINDS: dict[str, Kind] = {
    "container": Kind.CONTAINER,
    "image": Kind.IMAGE,
    "network": Kind.NETWORK,
    "volume": Kind.VOLUME,
    "pod": Kind.POD,
}
STATES: dict[str, str] = {
    "configured": "created",
    "created": "created",
    "initialized": "created",
    "running": "running",
    "stopping": "running",
    "paused": "paused",
    "restarting": "restarting",
    "stopped": "exited",
    "exited": "exited",
    "removing": "removing",
}
OWN_ATTRIBUTES = {"": ("image", "name", "containerExitCode", "podId"), "die": ("exitCode",)}
"""The attributes that Podman's API itself sets, by action. In the event file, all attributes are labels."""
ENDS = frozenset({"died", "die", "exec_died"})
_ATTACHMENTS = frozenset({"connect", "disconnect"})  # of a container to a network
_DOCKER_END = "die"  # the name of `died` in the Docker-compatible API
_OTHER, _HEALTH, _STARTED = EventKind.OTHER, EventKind.HEALTH, EventKind.STARTED
_LIVE, _REPLAY = Origin.LIVE, Origin.REPLAY


class Decoder:
    """Decodes the answers of one engine. `skipped` counts what cannot be decoded. `has_health`: its health events have
    the status after the check."""

    def __init__(
        self, engine: EngineRef, skipped: SkippedDataCounter | None = None, *, has_health: bool = False
    ) -> None:
        self._engine = engine
        self._skipped = skipped if skipped is not None else SkippedDataCounter(lambda: str(engine))
        self.ref = shared.RefCache(engine, KINDS).ref
        self._has_health = has_health
        self._healths: dict[str, str] = {}  # the last one, by container
        self._labels = event_labels.LabelsOfEvents(OWN_ATTRIBUTES)

    def for_past_events(self) -> Decoder:
        """Returns a decoder for one list of past events, which changes nothing in the events of the stream: the stream
        leaves out a health event that changes nothing, and its first event of a container has the labels."""
        return Decoder(self._engine, self._skipped, has_health=self._has_health)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    def events(self, lines: bytes, *, replay_before: int, since: int = 0) -> list[Event]:
        """Decodes whole lines of the API. Events before `since` (ns) are left out; those before `replay_before` count
        as replayed. Lines that cannot be decoded are left out. Raises Rejected if the engine reports an error in the
        middle of its answer."""
        found = []
        for one in json_decoder.decode_lines(json_models.Event, lines, self._skipped):
            if one.cause or one.message:
                raise errors.Rejected(500, one.message or one.cause)
            at_ns = one.at_ns or int(one.at * 1e9)
            if not 0 < at_ns <= timestamps.MAX_NANOSECONDS:
                self._skipped.add(skipped_data.EVENT, "an event has no valid time")
            elif at_ns >= since:
                given = one.actor.attributes
                code = given.exit_code if one.action == _DOCKER_END else given.code
                any_event = json_models.AnyEvent(
                    at_ns, one.type, one.action, one.actor.id, given.name, given.image, code, one.health, given.network
                )
                if (event := self._event(any_event, replay_before)) is not None:
                    found.append(event)
        return event_labels.add(found, self._labels.take(lines)) if self._labels.wanted else found

    def file_events(self, lines: bytes, *, replay_before: int, since: int = 0) -> list[Event]:
        """Decodes whole lines of the event file. Lines that cannot be decoded are left out: a line that was torn by a
        full disk or a crash must not hide those after it."""
        found = []
        for one in json_decoder.decode_lines(json_models.FileEvent, lines, self._skipped):
            at = timestamps.parse_nanoseconds_or_none(one.at)
            if at is None:
                self._skipped.add(skipped_data.EVENT, "an event has no valid time")
            elif at >= since:
                # Podman 4.3 leaves out an exit code of 0.
                code = "0" if one.code is None else str(one.code)
                any_event = json_models.AnyEvent(
                    at, one.type, one.action, one.id, one.name, one.image, code, one.health, one.network
                )
                if (event := self._event(any_event, replay_before)) is not None:
                    if self._labels.take_one(one.id):
                        event = msgspec.structs.replace(event, labels=event_attributes.labels(one.labels or {}))
                    found.append(event)
        return found

    def _event(self, raw: json_models.AnyEvent, replay_before: int) -> Event | None:
        """None for a health check that changed nothing."""
        kind = _OTHER
        attrs: dict[str, str] = {}
        if raw.type == "container":
            kind = ACTIONS.get(raw.action, kind)
            if kind in event_labels.LABELLED:
                self._labels.want(raw.id)
            if kind is _STARTED:  # its health is “starting” now
                self._healths.pop(raw.id, None)
            if raw.action in ENDS:
                attrs |= event_attributes.make_exit_code_attribute(raw.code)
            if raw.image:
                attrs["image"] = raw.image
            if kind is _HEALTH and self._has_health:
                if not self._health_changed(raw.id, raw.health):
                    return None
                attrs["health"] = raw.health
        name = raw.name
        if raw.type == "network":
            name = raw.network or name
            if raw.action in _ATTACHMENTS:  # the id and the name are the container's; 4.3 does not name the network
                attrs |= {"container": raw.id, "container_name": raw.name}
                name = raw.network or "?"
        # The events of volumes and of pulled images have no id.
        subject = self.ref(raw.type, raw.id or name, name or raw.id[:12])
        origin = _REPLAY if raw.at_ns < replay_before else _LIVE
        return Event(raw.at_ns, kind, subject, origin, raw.type, raw.action, attrs)

    def _health_changed(self, container_id: str, health: str) -> bool:
        if health not in HEALTH_STATES or self._healths.get(container_id) == health:
            return False
        if len(self._healths) >= MAX_HEALTHS:
            self._healths.clear()
        self._healths[container_id] = health
        return True

    # ── containers ───────────────────────────────────────────────────────────────────────────────────────────────

    def containers(self, body: bytes, now: float) -> tuple[Container, ...]:
        """Decodes a list of containers. `now`: unix seconds, for the status text, which Podman does not send. Raises
        InvalidResponse if it is not a list."""
        rows = json_decoder.decode_rows(json_models.ListedContainer, body, self._skipped)
        return tuple([status_text.refresh_status(self._container(row), now) for row in rows])

    async def all_containers(self, body: bytes, now: float) -> tuple[Container, ...]:
        """Does the same as `containers`, and lets the event loop run while it decodes a long list."""
        parts = json_decoder.slices(body, self._skipped)
        return tuple([row async for part in parts for row in self.containers(part, now)])

    def _container(self, row: json_models.ListedContainer) -> Container:
        self._labels.known(row.id)
        state = STATES.get(row.state.lower(), "dead")
        ended = state in ("exited", "dead") and row.ended > 0
        return Container(
            ref=self.ref("container", row.id, (row.names or [""])[0] or row.id[:12]),
            image=row.image or row.image_id,
            image_id=row.image_id,
            command=" ".join(row.command or ()),
            state=state,
            status="",
            created_at=timestamps.parse_seconds(row.created, self._skipped) or 0.0,
            labels=row.labels or {},
            ports=_listed_ports(row.ports or ()),
            health=row.status if row.status in HEALTH_STATES and state in containers.LIVE_STATES else "",
            started_at=row.started if row.started > 0 else None,
            finished_at=row.ended if row.ended > 0 and state != "created" else None,
            exit_code=row.exit_code if ended else None,
            auto_remove=row.auto_remove,
        )

    def container(self, body: bytes) -> Container:
        """Decodes one container's inspection. Raises InvalidResponse."""
        row = json_decoder.decode_json(shared_models.Inspection, body, self._skipped)
        self._labels.known(row.id)
        state = STATES.get(row.state.status.lower(), "dead")
        health = row.state.health.status if row.state.health else ""
        finished_at = timestamps.parse_seconds(row.state.finished, self._skipped)
        ended = state in ("exited", "dead", "restarting") and finished_at is not None
        return Container(
            ref=self.ref("container", row.id, row.name),
            image=row.image_name or row.image_id,
            image_id=row.image_id,
            command=" ".join(row.config.command or [row.path, *(row.args or [])]).strip(),
            state=state,
            status="",
            created_at=timestamps.parse_seconds(row.created, self._skipped) or 0.0,
            labels=row.config.labels or {},
            ports=shared.published_ports(row.network.ports or {}),
            health=health if health in HEALTH_STATES and state in containers.LIVE_STATES else "",
            started_at=timestamps.parse_seconds(row.state.started, self._skipped),
            finished_at=finished_at,
            exit_code=row.state.exit_code if ended else None,
            restarts=row.restarts,
            oom_killed=row.state.oom_killed,
            stopped_by_client=ended and row.state.stopped_by_user,
            auto_remove=row.host.auto_remove if row.host else None,
            health_seconds=shared.health_seconds(row.config.health),
        )


def _listed_ports(ports: Sequence[json_models.Port]) -> tuple[Port, ...]:
    """Podman lists a range of ports as one entry."""
    found = (
        Port(port.inside + step, protocol, port.outside + step if port.outside else None, port.ip)
        for port in ports
        for protocol in (port.protocol or "tcp").split(",")
        for step in range(max(1, port.count))
    )
    return tuple(itertools.islice(found, MAX_PORTS))
