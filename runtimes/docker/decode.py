"""Decodes Docker's containers, events, networks, volumes and statistics into Quarterdeck's values.

The tables in this file (event names, states) were found by experiment on Docker 20.10 and 26.1. Both versions behave
alike unless a comment says otherwise. A daemon sends times in nanoseconds. In a request, it accepts `since` only as
`SECONDS.NANOSECONDS`; a time in RFC 3339 format fails with status 500.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from core import errors
from core.model.containers import HEALTH_STATES, Container, Port
from core.model.events import Event, EventKind, Origin
from core.model.networks_and_volumes import Network, Volume
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_usage import Usage
from runtimes.docker import fold_exec_events, json_models, label_collisions
from runtimes.docker_like import decode as shared
from runtimes.docker_like import event_labels
from runtimes.docker_like import json_models as shared_models
from runtimes.formats import event_attributes, json_decoder, skipped_data, timestamps
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.swarm.json_models import KINDS

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
OWN_ATTRIBUTES = {"": ("image", "name"), "die": ("exitCode", "execDuration")}
"""The attributes that the daemon itself sets, by action; `event_labels.LABELLED` has the actions that matter."""
NO_LIMIT = 1 << 60  # bytes; a larger limit means that there is none
# An enum's member looked up on its class costs as much as decoding half an event (Python 3.11).
_OTHER, _HEALTH = EventKind.OTHER, EventKind.HEALTH
_LIVE, _REPLAY = Origin.LIVE, Origin.REPLAY
_API_VERSION = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,3}))?")
_EXITED = re.compile(r"(?:Exited|Restarting) \((-?[0-9]{1,10})\)")


class Decoder:
    """Decodes the answers of one engine. `skipped` counts what cannot be decoded."""

    def __init__(self, engine: EngineRef, skipped: SkippedDataCounter | None = None) -> None:
        self._engine = engine
        self._refs = shared.RefCache(engine, KINDS)
        self._attrs = event_attributes.AttributesByImage()
        self._skipped = skipped
        self._misleading_labels = label_collisions.LabelCollisions()
        self._labels = event_labels.LabelsOfEvents(OWN_ATTRIBUTES)

    def for_past_events(self) -> Decoder:
        """Returns a decoder for one list of past events, which changes nothing in the events of the stream: their
        labels belong to the first event of a container in the stream."""
        made = Decoder(self._engine, self._skipped)
        made._misleading_labels = self._misleading_labels
        return made

    def containers(self, body: bytes) -> tuple[Container, ...]:
        """Decodes a list of containers. Raises InvalidResponse if it is not a list."""
        rows = json_decoder.decode_rows(json_models.ListedContainer, body, self._skipped)
        return tuple([self._container(row) for row in rows])

    async def all_containers(self, body: bytes) -> tuple[Container, ...]:
        """Does the same as `containers`, and lets the event loop run while it decodes a long list."""
        return tuple([row async for part in json_decoder.slices(body, self._skipped) for row in self.containers(part)])

    def _container(self, row: json_models.ListedContainer) -> Container:
        self._labels.known(row.id)
        if row.labels:
            self._misleading_labels.learn(row.id, row.labels.keys())
        status = row.status
        exited = _EXITED.match(status) if status[:1] in "ER" else None
        return Container(
            ref=self._refs.ref("container", row.id, _name(row.names, row.id)),
            image=row.image,
            image_id=row.image_id,
            command=row.command,
            state=row.state,
            status=status,
            created_at=row.created,
            labels=row.labels or {},
            ports=tuple([Port(p.private, p.protocol, p.public, p.ip) for p in row.ports]) if row.ports else (),
            health=_health(status),
            exit_code=int(exited[1]) if exited else None,
            auto_remove=None,
        )

    def container(self, body: bytes) -> Container:
        """Decodes one container's inspection. Raises InvalidResponse."""
        row = json_decoder.decode_json(shared_models.Inspection, body, self._skipped)
        state = row.state
        self._labels.known(row.id)
        self._misleading_labels.learn(row.id, (row.config.labels or {}).keys())
        ended = state.status in ("exited", "dead", "restarting")
        health = state.health.status if state.health else ""
        return Container(
            ref=self._refs.ref("container", row.id, row.name.lstrip("/")),
            image=row.config.image or row.image_id,
            image_id=row.image_id,
            command=" ".join([row.path, *(row.args or [])]).strip(),
            state=state.status,
            status="",
            created_at=timestamps.parse_seconds(row.created, self._skipped) or 0.0,
            labels=row.config.labels or {},
            ports=shared.published_ports(row.network.ports or {}),
            health="" if health == "none" else health,
            started_at=timestamps.parse_seconds(state.started, self._skipped),
            finished_at=timestamps.parse_seconds(state.finished, self._skipped),
            exit_code=state.exit_code if ended else None,
            restarts=row.restarts,
            oom_killed=state.oom_killed,
            auto_remove=row.host.auto_remove if row.host else None,
            health_seconds=shared.health_seconds(row.config.health),
        )

    def events(self, lines: bytes, *, replay_before: int, fold: bool = False) -> list[Event]:
        """Decodes whole lines of JSON; lines that cannot be decoded are left out. An event older than `replay_before`
        (ns) counts as replayed. `fold`: whether events that are only counted are folded, at the end of the list."""
        raw: Sequence[json_models.Event] = json_decoder.decode_lines(json_models.Event, lines, self._skipped)
        events = self._events(raw, replay_before, fold=fold)
        return event_labels.add(events, self._labels.take(lines)) if self._labels.wanted else events

    def _events(  # noqa: PLR0912 (one loop, because it runs for every event)
        self, batch: Sequence[json_models.Event], replay_before: int, *, fold: bool
    ) -> list[Event]:
        # Usual actions are looked up whole, and fields are passed by position.
        found: list[Event] = []
        labelled, kinds, refs, attrs_by_image = event_labels.LABELLED, ACTIONS.get, self._refs.by_id, self._attrs
        exec_names, numbers = fold_exec_events.NAMES, fold_exec_events.no_numbers()
        earliest = max(1, replay_before)
        newest = earliest - 1
        for raw in batch:
            action, actor, at_ns = raw.action, raw.actor, raw.at_ns
            given = actor.attributes
            if (
                fold
                and (name := exec_names[action])
                and at_ns >= earliest
                and raw.type == "container"
                and not (given.signal or given.old_name or (given.exit_code and name != "exec_die"))
            ):
                numbers[name] += 1
                newest = at_ns if at_ns > newest else newest  # `max` would cost much more
                continue
            at_ns = at_ns or int(raw.at * 1e9)
            if not 0 < at_ns <= timestamps.MAX_NANOSECONDS:
                if self._skipped is not None:
                    self._skipped.add(skipped_data.EVENT, "an event has no valid time")
                continue
            type_, kind = raw.type, _OTHER
            if type_ == "container":
                type_ = "container"  # one text for all events in memory
                attrs = attrs_by_image[given.image]
                if (usual := kinds(action)) is not None:
                    kind = usual
                    if kind in labelled:
                        self._labels.want(actor.id)
                else:
                    # The command line in `exec_create: …` may contain secrets, so it is dropped here.
                    action, _, detail = action.partition(": ")
                    kind = kinds(action, kind)
                    if kind is _HEALTH and detail in HEALTH_STATES:
                        attrs = {**attrs, "health": detail}
                if given.exit_code or given.signal or given.old_name:
                    attrs = {**attrs, **self._own_attributes(actor.id, action, given)}
            else:
                attrs, action = attrs_by_image[""], action.partition(": ")[0]
                if given.container and type_ == "network":
                    attrs = {"container": given.container}
            name, cached = given.name or actor.id[:12], refs.get(actor.id)
            if cached is not None and cached[1].name == name and cached[0] == type_:
                subject = cached[1]
            else:
                subject = self._refs.ref(type_, actor.id, name)
            origin = _REPLAY if at_ns < replay_before else _LIVE
            found.append(Event(at_ns, kind, subject, origin, type_, action, attrs))
        return [*found, *fold_exec_events.folded(numbers, newest, self._engine)] if any(numbers.values()) else found

    def _own_attributes(self, container_id: str, action: str, given: json_models.Attributes) -> dict[str, str]:
        """Returns the attribute that the daemon sets for this action, unless a label of the container hides it."""
        names = self._misleading_labels
        names.learn_from_event(container_id, action, given)
        if action in ("die", "exec_die") and not names.is_label(container_id, label_collisions.EXIT_CODE):
            return event_attributes.make_exit_code_attribute(given.exit_code)
        if action == "kill" and not names.is_label(container_id, label_collisions.SIGNAL):
            return event_attributes.make_signal_attribute(given.signal)
        if action == "rename" and not names.is_label(container_id, label_collisions.OLD_NAME):
            return event_attributes.old_name_attribute(given.old_name)
        return {}


def networks(engine: EngineRef, body: bytes, skipped: SkippedDataCounter | None = None) -> tuple[Network, ...]:
    return tuple(
        [
            Network(
                ref=Ref(engine=engine, kind=Kind.NETWORK, id=row.id, name=row.name),
                driver=row.driver,
                scope=row.scope,
                subnets=tuple([one.subnet for one in (row.ipam and row.ipam.config) or () if one.subnet]),
                internal=row.internal,
                labels=row.labels or {},
            )
            for row in json_decoder.decode_rows(json_models.Network, body, skipped)
        ]
    )


def volumes(engine: EngineRef, body: bytes, skipped: SkippedDataCounter | None = None) -> tuple[Volume, ...]:
    return shared.volumes(engine, json_decoder.decode_json(json_models.Volumes, body, skipped).volumes or (), skipped)


def usage(ref: Ref, stats: json_models.Stats, cpu_percent: float | None, host_memory: int) -> Usage:
    """`host_memory`: bytes of memory of the host, which Docker sends as the limit of a container without one."""
    memory, details = stats.memory.usage, stats.memory.stats or json_models.MemoryDetails()
    if memory is not None:
        inactive = details.total_inactive if details.total_inactive is not None else details.inactive
        memory = max(0, memory - (inactive or 0))
    limit = details.limit if details.limit is not None else stats.memory.limit
    sums = {"read": 0, "write": 0}
    for block in stats.blocks.bytes or ():
        if (operation := block.operation.lower()) in sums:
            sums[operation] += block.value
    traffic = None if stats.networks is None else stats.networks.values()
    return Usage(
        ref=ref,
        cpu_percent=cpu_percent,
        cpu_seconds=stats.cpu_seconds,
        memory=memory,
        memory_limit=limit if limit and limit < NO_LIMIT and limit != host_memory else None,
        network_received=None if traffic is None else sum(one.received for one in traffic),
        network_sent=None if traffic is None else sum(one.sent for one in traffic),
        block_read=None if stats.blocks.bytes is None else sums["read"],
        block_written=None if stats.blocks.bytes is None else sums["write"],
        processes=stats.processes.current,
    )


def api_version(text: str) -> tuple[int, int]:
    """`1.47` as numbers. Raises InvalidResponse."""
    found = _API_VERSION.fullmatch(text)
    if found is None:
        raise errors.InvalidResponse(
            f"The engine sent “{text[:20]}” as the version of its API, which is not a version.",
            hint="Check that Quarterdeck supports this version of the engine.",
        )
    return int(found[1]), int(found[2] or 0)


def _name(names: Sequence[str] | None, container_id: str) -> str:
    # Legacy links add names with a second slash (`/web/db`); a dead container may have no name.
    for name in names or ():
        if name.count("/") == 1:
            return name[1:]
    return container_id[:12]


def _health(status: str) -> str:
    if not status.endswith(")"):
        return ""
    if status.endswith("(healthy)"):
        return "healthy"
    if status.endswith("(unhealthy)"):
        return "unhealthy"
    return "starting" if status.endswith("(health: starting)") else ""
