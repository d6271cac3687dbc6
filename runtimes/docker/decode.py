"""Docker's words into ours, as pure tables and functions; found by experiment on 20.10 and 26.1, noted where they
differ.

Only Type/Action/Actor of an event are read: the older top-level names are gone from API 1.52 on. A daemon sends times
in nanoseconds and takes `since` as `SECONDS.NANOSECONDS`; RFC 3339 there is answered with status 500.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from core import errors
from core.model.containers import Container, Port
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import timestamps
from runtimes.swarm import models

T = TypeVar("T")
INTERNED = 20_000

ACTIONS: dict[str, EventKind] = {
    "create": EventKind.CREATED,
    "start": EventKind.STARTED,
    "die": EventKind.DIED,
    "oom": EventKind.OOM,
    "pause": EventKind.PAUSED,
    "unpause": EventKind.UNPAUSED,
    "destroy": EventKind.REMOVED,
    "rename": EventKind.RENAMED,
    "update": EventKind.UPDATED,
    "restart": EventKind.RESTARTED,
    "stop": EventKind.STOPPED,
    "kill": EventKind.KILLED,
    "health_status": EventKind.HEALTH,
}
# An enum's member looked up on its class costs as much as decoding half an event (Python 3.11).
_OTHER, _HEALTH = EventKind.OTHER, EventKind.HEALTH
_LIVE, _REPLAY = Origin.LIVE, Origin.REPLAY
_EXITED = re.compile(r"(?:Exited|Restarting) \((-?\d+)\)")


class _Attributes(msgspec.Struct, gc=False, rename={"exit_code": "exitCode", "old_name": "oldName"}):
    name: str = ""
    image: str = ""
    exit_code: str = ""
    signal: str = ""
    old_name: str = ""
    container: str = ""


class _Actor(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="ID", default="")
    attributes: _Attributes = msgspec.field(name="Attributes", default_factory=_Attributes)


class _Event(msgspec.Struct, gc=False):
    type: str = msgspec.field(name="Type", default="")
    action: str = msgspec.field(name="Action", default="")
    actor: _Actor = msgspec.field(name="Actor", default_factory=_Actor)
    at_ns: int = msgspec.field(name="timeNano", default=0)


class _Port(msgspec.Struct, gc=False):
    private: int = msgspec.field(name="PrivatePort", default=0)
    public: int | None = msgspec.field(name="PublicPort", default=None)
    ip: str = msgspec.field(name="IP", default="")
    proto: str = msgspec.field(name="Type", default="tcp")


class _Listed(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    names: list[str] | None = msgspec.field(name="Names", default=None)
    image: str = msgspec.field(name="Image", default="")
    image_id: str = msgspec.field(name="ImageID", default="")
    command: str = msgspec.field(name="Command", default="")
    created: float = msgspec.field(name="Created", default=0)
    state: str = msgspec.field(name="State", default="")
    status: str = msgspec.field(name="Status", default="")
    ports: list[_Port] | None = msgspec.field(name="Ports", default=None)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _Health(msgspec.Struct, gc=False):
    status: str = msgspec.field(name="Status", default="")


class _State(msgspec.Struct, gc=False):
    status: str = msgspec.field(name="Status", default="")
    exit_code: int = msgspec.field(name="ExitCode", default=0)
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    started: str = msgspec.field(name="StartedAt", default="")
    finished: str = msgspec.field(name="FinishedAt", default="")
    health: _Health | None = msgspec.field(name="Health", default=None)


class _Config(msgspec.Struct):
    image: str = msgspec.field(name="Image", default="")
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _Binding(msgspec.Struct):
    ip: str = msgspec.field(name="HostIp", default="")
    port: str = msgspec.field(name="HostPort", default="")


class _Network(msgspec.Struct):
    ports: dict[str, list[_Binding] | None] | None = msgspec.field(name="Ports", default=None)


class _Inspected(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="Name", default="")
    created: str = msgspec.field(name="Created", default="")
    path: str = msgspec.field(name="Path", default="")
    args: list[str] | None = msgspec.field(name="Args", default=None)
    image_id: str = msgspec.field(name="Image", default="")
    restarts: int = msgspec.field(name="RestartCount", default=0)
    state: _State = msgspec.field(name="State", default_factory=_State)
    config: _Config = msgspec.field(name="Config", default_factory=_Config)
    network: _Network = msgspec.field(name="NetworkSettings", default_factory=_Network)


_EVENTS = msgspec.json.Decoder(_Event)
_LISTED = msgspec.json.Decoder(list[_Listed])
_INSPECTED = msgspec.json.Decoder(_Inspected)


class Decoder:
    """The tables bound to one engine: its Refs are interned, so one thing is one object wherever it is named."""

    def __init__(self, engine: EngineRef) -> None:
        self._engine = engine
        self._refs: dict[tuple[str, str, str], Ref] = {}

    def ref(self, kind: str, thing: str, name: str) -> Ref:
        key = (kind, thing, name)
        found = self._refs.get(key)
        if found is None:
            if len(self._refs) >= INTERNED:
                self._refs.clear()
            found = Ref(engine=self._engine, kind=models.KINDS.get(kind, Kind.ENGINE), id=thing, name=name)
            self._refs[key] = found
        return found

    def events(self, lines: bytes, *, replay_before: int) -> list[Event]:
        """Whole lines of JSON into Events. Older than `replay_before` (ns) means the daemon replayed them."""
        try:
            raw = _EVENTS.decode_lines(lines)
        except msgspec.DecodeError as error:
            raise errors.InvalidResponse(f"{self._engine} sent events that are not JSON.") from error
        return [self._event(one, replay_before) for one in raw]

    def _event(self, raw: _Event, replay_before: int) -> Event:
        # The hot path: the usual words are found whole, and fields go by position.
        kind, thing, given = _OTHER, raw.actor.id, raw.actor.attributes
        action, detail = raw.action, ""
        attrs: dict[str, str] = {}
        if given.exit_code:
            attrs["exit_code"] = given.exit_code
        if given.image:
            attrs["image"] = given.image
        if given.signal:
            attrs["signal"] = given.signal
        if given.old_name:
            attrs["old_name"] = given.old_name.lstrip("/")
        if given.container:
            attrs["container"] = given.container
        if raw.type == "container" and action in ACTIONS:
            kind = ACTIONS[action]
        else:
            # A command line in `exec_create: …` may hold secrets: it is left here.
            action, _, detail = action.partition(": ")
            if raw.type == "container":
                kind = ACTIONS.get(action, kind)
        if kind is _HEALTH:
            attrs["health"] = detail
        name = given.name or thing[:12]
        subject = self._refs.get((raw.type, thing, name)) or self.ref(raw.type, thing, name)
        origin = _REPLAY if raw.at_ns < replay_before else _LIVE
        return Event(raw.at_ns, kind, subject, origin, raw.type, action, attrs)

    def listed(self, body: bytes) -> tuple[Container, ...]:
        try:
            rows = _LISTED.decode(body)
        except msgspec.DecodeError as error:
            raise errors.InvalidResponse(f"{self._engine} answered a list that cannot be understood.") from error
        return tuple([self._container(row) for row in rows])

    def _container(self, row: _Listed) -> Container:
        status = row.status
        exited = _EXITED.match(status) if status[:1] in "ER" else None
        return Container(
            ref=self.ref("container", row.id, _name(row.names, row.id)),
            image=row.image,
            image_id=row.image_id,
            command=row.command,
            state=row.state,
            status=status,
            created_at=row.created,
            labels=row.labels or {},
            ports=tuple([Port(p.private, p.proto, p.public, p.ip) for p in row.ports]) if row.ports else (),
            health=_health(status),
            exit_code=int(exited[1]) if exited else None,
        )

    def inspected(self, body: bytes) -> Container:
        try:
            row = _INSPECTED.decode(body)
        except msgspec.DecodeError as error:
            raise errors.InvalidResponse(f"{self._engine} answered an inspection that cannot be understood.") from error
        state = row.state
        ended = state.status in ("exited", "dead", "restarting")
        health = state.health.status if state.health else ""
        return Container(
            ref=self.ref("container", row.id, row.name.lstrip("/")),
            image=row.config.image or row.image_id,
            image_id=row.image_id,
            command=" ".join([row.path, *(row.args or [])]).strip(),
            state=state.status,
            status="",
            created_at=timestamps.seconds(row.created) or 0.0,
            labels=row.config.labels or {},
            ports=_bound(row.network.ports or {}),
            health="" if health == "none" else health,
            started_at=timestamps.seconds(state.started),
            finished_at=timestamps.seconds(state.finished),
            exit_code=state.exit_code if ended else None,
            restarts=row.restarts,
            oom_killed=state.oom_killed,
        )


def api_version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    try:
        return int(major), int(minor or 0)
    except ValueError:
        raise errors.InvalidResponse(f"The engine calls its API version “{text[:20]}”.") from None


def _name(names: Sequence[str] | None, container: str) -> str:
    # Legacy links add names with a second slash (`/web/db`); a dead container may have none.
    for name in names or ():
        if name.count("/") == 1:
            return name[1:]
    return container[:12]


def _health(status: str) -> str:
    if not status.endswith(")"):
        return ""
    if status.endswith("(healthy)"):
        return "healthy"
    if status.endswith("(unhealthy)"):
        return "unhealthy"
    return "starting" if status.endswith("(health: starting)") else ""


def _bound(ports: dict[str, list[_Binding] | None]) -> tuple[Port, ...]:
    found = []
    for inside, bindings in ports.items():
        number, _, proto = inside.partition("/")
        private = int(number) if number.isdigit() else 0
        found += [
            Port(private, proto or "tcp", int(b.port) if b.port.isdigit() else None, b.ip) for b in bindings or ()
        ] or [Port(private, proto or "tcp")]
    return tuple(found)
