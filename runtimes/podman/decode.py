"""Podman's words into ours, as pure tables and functions; found by experiment on 4.3 and 5.4, noted where they differ.

Events come in three shapes: libpod's (`died`), the Docker-compatible ones (`die`), and the lines of the event file.
Exit codes are believed of ends alone: 4.3 says "0" on every event, and its file leaves a zero out. Health events of
Podman 4 carry the status before the check, so none is taken from them; later ones repeat at every check, so only a
change is told. Lists tell the health where Docker has its sentence about the state; times there are whole seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from core import errors
from core.model import containers
from core.model.containers import HEALTH_STATES, Container, Port
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import status_text
from runtimes.podman import models

T = TypeVar("T")
INTERNED = 20_000

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
ENDS = frozenset({"died", "die", "exec_died"})
_OTHER, _HEALTH = EventKind.OTHER, EventKind.HEALTH
_LIVE, _REPLAY = Origin.LIVE, Origin.REPLAY
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")


class Decoder:
    """The tables bound to one engine: its Refs are interned, so one thing is one object wherever it is named.
    `tells_health`: health events carry the status after the check."""

    def __init__(self, engine: EngineRef, *, tells_health: bool = False) -> None:
        self._engine = engine
        self._refs: dict[tuple[str, str, str], Ref] = {}
        self._tells_health = tells_health
        self._healths: dict[str, str] = {}  # by container: what was told last

    def ref(self, kind: str, thing: str, name: str) -> Ref:
        key = (kind, thing, name)
        found = self._refs.get(key)
        if found is None:
            if len(self._refs) >= INTERNED:
                self._refs.clear()
            found = Ref(engine=self._engine, kind=KINDS.get(kind, Kind.ENGINE), id=thing, name=name)
            self._refs[key] = found
        return found

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    def events(self, lines: bytes, *, replay_before: int, since: int = 0) -> list[Event]:
        """Whole lines of the API into Events from `since` (ns) on, in the order they came. Older than `replay_before`
        means replayed. Raises Rejected where the engine complains in the middle of its answer."""
        try:
            raw = models.EVENTS.decode_lines(lines)
        except msgspec.DecodeError as error:
            raise errors.InvalidResponse(f"{self._engine} sent events that are not JSON.") from error
        found = []
        for one in raw:
            if one.cause or one.message:
                raise errors.Rejected(500, one.message or one.cause)
            if one.at_ns >= since:
                given = one.actor.attributes
                name, code = given.name or given.network, given.code or given.exit_code
                said = models.Said(one.at_ns, one.type, one.action, one.actor.id, name, given.image, code, one.health)
                event = self._event(said, replay_before)
                if event is not None:
                    found.append(event)
        return found

    def logged(self, lines: bytes, *, replay_before: int, since: int = 0) -> tuple[list[Event], int]:
        """Whole lines of the event file into Events, and how many could not be read: one that was torn by a full disk
        or a crash must not hide those after it."""
        try:
            raw: Iterable[models.Logged] = models.LOGGED.decode_lines(lines)
            torn = 0
        except msgspec.DecodeError:
            raw, torn = _one_by_one(lines)
        found = []
        for one in raw:
            at = nanoseconds_or_none(one.at)
            if at is None:
                torn += 1
            elif at >= since:
                # A zero is left out by 4.3.
                code, name = "0" if one.code is None else str(one.code), one.name or one.network
                said = models.Said(at, one.type, one.action, one.id, name, one.image, code, one.health)
                event = self._event(said, replay_before)
                if event is not None:
                    found.append(event)
        return found, torn

    def _event(self, said: models.Said, replay_before: int) -> Event | None:
        kind, attrs = _OTHER, {}
        if said.type == "container":
            kind = ACTIONS.get(said.action, kind)
            if said.action in ENDS:
                attrs["exit_code"] = said.code
            if said.image:
                attrs["image"] = said.image
            if kind is _HEALTH and self._tells_health:
                if not self._is_news(said.id, said.health):
                    return None
                attrs["health"] = said.health
        # Volumes and pulled images are events without an id.
        subject = self.ref(said.type, said.id or said.name, said.name or said.id[:12])
        origin = _REPLAY if said.at_ns < replay_before else _LIVE
        return Event(said.at_ns, kind, subject, origin, said.type, said.action, attrs)

    def _is_news(self, thing: str, health: str) -> bool:
        if health not in HEALTH_STATES or self._healths.get(thing) == health:
            return False
        if len(self._healths) >= INTERNED:
            self._healths.clear()
        self._healths[thing] = health
        return True

    # ── containers ───────────────────────────────────────────────────────────────────────────────────────────────

    def listed(self, body: bytes, now: float) -> tuple[Container, ...]:
        """`now`: unix seconds, for the sentence about the state, which Podman leaves to its clients."""
        try:
            rows = models.LISTED.decode(body)
        except msgspec.DecodeError as error:
            raise errors.InvalidResponse(f"{self._engine} answered a list that cannot be understood.") from error
        return tuple([status_text.refreshed(self._container(row), now) for row in rows])

    def _container(self, row: models.Listed) -> Container:
        state = STATES.get(row.state.lower(), "dead")
        ended = state in ("exited", "dead") and row.ended > 0
        return Container(
            ref=self.ref("container", row.id, (row.names or [""])[0] or row.id[:12]),
            image=row.image or row.image_id,
            image_id=row.image_id,
            command=" ".join(row.command or ()),
            state=state,
            status="",
            created_at=seconds(row.created) or 0.0,
            labels=row.labels or {},
            ports=_published(row.ports or ()),
            health=row.status if row.status in HEALTH_STATES and state in containers.LIVE_STATES else "",
            started_at=row.started if row.started > 0 else None,
            finished_at=row.ended if row.ended > 0 and state != "created" else None,
            exit_code=row.exit_code if ended else None,
        )

    def inspected(self, body: bytes) -> Container:
        try:
            row = models.INSPECTED.decode(body)
        except msgspec.DecodeError as error:
            raise errors.InvalidResponse(f"{self._engine} answered an inspection that cannot be understood.") from error
        state = STATES.get(row.state.status.lower(), "dead")
        health = row.state.health.status if row.state.health else ""
        ended = state in ("exited", "dead", "restarting") and seconds(row.state.finished) is not None
        return Container(
            ref=self.ref("container", row.id, row.name),
            image=row.image or row.image_id,
            image_id=row.image_id,
            command=" ".join(row.config.command or [row.path, *(row.args or [])]).strip(),
            state=state,
            status="",
            created_at=seconds(row.created) or 0.0,
            labels=row.config.labels or {},
            ports=_bound(row.network.ports or {}),
            health=health if health in HEALTH_STATES and state in containers.LIVE_STATES else "",
            started_at=seconds(row.state.started),
            finished_at=seconds(row.state.finished),
            exit_code=row.state.exit_code if ended else None,
            restarts=row.restarts,
            oom_killed=row.state.oom_killed,
        )


def document(body: bytes) -> dict[str, Any]:
    return decode(dict[str, Any], body)


def decode(kind: type[T], body: bytes) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise errors.InvalidResponse("The engine answered something that is not the JSON we expect.") from error


def seconds(text: str) -> float | None:
    """RFC 3339 into unix seconds; Go's year 1 means never."""
    if not text or text.startswith("0001-01-01"):
        return None
    at = nanoseconds_or_none(text)
    if at is None:
        raise errors.InvalidResponse(f"“{text[:40]}” is not a time.")
    return at / 1e9


def nanoseconds_or_none(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match[1] + ("+00:00" if match[3] == "Z" else match[3]))
    except ValueError:
        return None
    return int(whole.timestamp()) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))


def _one_by_one(lines: bytes) -> tuple[list[models.Logged], int]:
    found, torn = [], 0
    for line in lines.split(b"\n"):
        if line.strip():
            try:
                found.append(models.LOGGED.decode(line))
            except msgspec.DecodeError:
                torn += 1
    return found, torn


def _published(ports: Sequence[models.Port]) -> tuple[Port, ...]:
    """A range of ports is one entry."""
    return tuple(
        Port(port.inside + step, proto, port.outside + step if port.outside else None, port.ip)
        for port in ports
        for proto in (port.proto or "tcp").split(",")
        for step in range(min(max(1, port.span), 1024))
    )


def _bound(ports: dict[str, list[models.Binding] | None]) -> tuple[Port, ...]:
    found = []
    for inside, bindings in ports.items():
        number, _, proto = inside.partition("/")
        private = int(number) if number.isdigit() else 0
        found += [
            Port(private, proto or "tcp", int(b.port) if b.port.isdigit() else None, b.ip) for b in bindings or ()
        ] or [Port(private, proto or "tcp")]
    return tuple(found)
