"""Computes the events between two snapshots of a Swarm.

A Swarm sends no events about tasks, so the watcher polls it. `step` takes the last state, a new snapshot and the time,
and returns the next state and the events. The first snapshot is only compared with the next one. Two changes may be
over after seconds: a service with too few replicas, and a node that is down. These are reported only after they have
lasted for some seconds. A new leader reports every node as `unknown` for some seconds, so `unknown` has the longest
delay. Event times are the engine's own, so two processes that watch one Swarm report the same events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from core.lazy_dataclass import dataclass
from core.model.containers import SWARM_NODE_LABEL
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import timestamps
from runtimes.swarm import decode, json_models
from runtimes.swarm.json_models import Node, Service, Task, UpdateStatus

SETTLE_SECONDS = 5.0
UNKNOWN_SETTLE_SECONDS = 20.0
# During an update, tasks are missing as they are replaced. If no new task starts for so long, that is reported.
STALLED_SECONDS = 60.0
UPDATING = frozenset({"updating", "rollback_started"})
REPORTED_UPDATES = frozenset({"paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Holds all services, tasks and nodes of a Swarm at one moment, as one poll returned them."""

    services: Sequence[Service] = ()
    tasks: Sequence[Task] = ()
    nodes: Sequence[Node] = ()


@dataclass(frozen=True, slots=True)
class _Pending:
    """A change that is not reported yet. `since`: when it was first seen, by this process's clock; `at_ns`: its time by
    the engine's clock. `running`: the ids of the running tasks, during an update."""

    value: str
    since: float
    at_ns: int
    running: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Replicas:
    short: bool
    pending: _Pending | None = None


@dataclass(frozen=True, slots=True)
class _NodeSeen:
    state: str
    availability: str
    pending: _Pending | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Holds the changes that were reported, and those that will be reported if they last."""

    tasks: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # state and desired state, by task
    updates: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # state and start, by service
    replicas: Mapping[str, _Replicas] = field(default_factory=dict)
    nodes: Mapping[str, _NodeSeen] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether no change waits: the same snapshot again would then give no event at any time."""
        return not any(seen.pending for table in (self.replicas, self.nodes) for seen in table.values())


def baseline(snapshot: Snapshot) -> State:
    """Returns the state after the first snapshot, which gives no events."""
    by_service = _by_service(snapshot.tasks)
    return State(
        tasks=_states(snapshot.tasks),
        updates={service.id: _update(service) for service in snapshot.services},
        replicas={
            service.id: _Replicas(counted[0] < counted[1])
            for service in snapshot.services
            if (counted := _counted(service, by_service.get(service.id, ())))
        },
        nodes={node.id: _NodeSeen(node.status.state, node.spec.availability) for node in snapshot.nodes},
    )


def step(engine: EngineRef, state: State, snapshot: Snapshot, now: float) -> tuple[State, list[Event]]:
    """Returns the state after `snapshot`, and the events since `state`, sorted by the engine's time."""
    by_service = _by_service(snapshot.tasks)
    found = list(_failures(engine, snapshot, state.tasks))
    replicas: dict[str, _Replicas] = {}
    for service in snapshot.services:
        tasks = by_service.get(service.id, ())
        before = state.updates.get(service.id)
        if before is not None and before != _update(service) and service.update is not None:
            found += _rollout(engine, service, service.update, Origin.LIVE)
        if (counted := _counted(service, tasks)) is not None:
            seen, short = _settled(state.replicas.get(service.id, _Replicas(False)), service, tasks, counted, now)
            replicas[service.id] = seen
            if short is not None:
                found.append(_short(engine, service, short, counted))
    nodes: dict[str, _NodeSeen] = {}
    for node in snapshot.nodes:
        nodes[node.id], changes = _node(engine, state.nodes.get(node.id), node, now)
        found += changes
    found.sort(key=lambda event: event.at_ns)
    return (
        State(
            tasks=_states(snapshot.tasks),
            updates={service.id: _update(service) for service in snapshot.services},
            replicas=replicas,
            nodes=nodes,
        ),
        found,
    )


def replays(engine: EngineRef, snapshot: Snapshot, since_ns: int) -> list[Event]:
    """Returns the events since `since_ns` that one snapshot alone shows: failed tasks and ended updates."""
    found = [event for event in _failures(engine, snapshot, {}, Origin.REPLAY) if event.at_ns >= since_ns]
    for service in snapshot.services:
        if service.update is not None:
            found += [
                event for event in _rollout(engine, service, service.update, Origin.REPLAY) if event.at_ns >= since_ns
            ]
    found.sort(key=lambda event: event.at_ns)
    return found


def created_and_removed(engine: EngineRef, before: Snapshot, after: Snapshot, at_ns: int) -> list[Event]:
    """Returns the events of services and nodes that exist in only one of two snapshots, between which no manager's
    events arrived. `at_ns`: the time of removals, for which the Swarm has none."""
    found: list[Event] = []
    pairs = ((Kind.SERVICE, before.services, after.services), (Kind.NODE, before.nodes, after.nodes))
    for kind, old_ones, new_ones in pairs:
        old, new = {one.id: one for one in old_ones}, {one.id: one for one in new_ones}
        created, removed = new.keys() - old.keys(), old.keys() - new.keys()
        found += [_object_event(engine, kind, new[each], "create", _ns(new[each].created) or at_ns) for each in created]
        found += [_object_event(engine, kind, old[each], "remove", at_ns) for each in removed]
    return found


def _object_event(engine: EngineRef, kind: Kind, one: Service | Node, action: str, at_ns: int) -> Event:
    subject = Ref(engine=engine, kind=kind, id=one.id, name=one.name)
    return Event(at_ns, EventKind.OTHER, subject, Origin.RESYNC, str(kind), action, {})


# ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _failures(
    engine: EngineRef, snapshot: Snapshot, known: Mapping[str, tuple[str, str]], origin: Origin = Origin.LIVE
) -> Iterator[Event]:
    names = {service.id: service.name for service in snapshot.services}
    rollouts = {each.id: each.update.state for each in snapshot.services if each.update is not None}
    nodes = {node.id: node.name for node in snapshot.nodes}
    for task in snapshot.tasks:
        state = task.status.state
        if state not in decode.FAILED:
            continue
        before, wanted = known.get(task.id, ("", ""))
        if before in decode.FAILED or (before == "running" and wanted not in ("running", "complete")):
            continue  # reported already, or ended because the Swarm ended it
        service, node = names.get(task.service, task.service[:12]), nodes.get(task.node, task.node[:12])
        attrs = {"state": state, "why": task.why, "service": service, "node": node if task.node else ""}
        if (rollout := rollouts.get(task.service, "")) in UPDATING:
            attrs["rollout"] = rollout
        if task.exit_code is not None:
            attrs["exit_code"] = str(task.exit_code)
        if task.image:
            attrs["image"] = task.image.partition("@")[0]
        name = decode.task_name(service, task, node if task.node else "")
        yield Event(
            at_ns=_ns(task.status.at, task.created),
            kind=EventKind.TASK_FAILED,
            subject=Ref(engine=engine, kind=Kind.TASK, id=task.id, name=name),
            origin=origin,
            type="task",
            action=state,
            attrs={key: value for key, value in attrs.items() if value},
            labels={SWARM_NODE_LABEL: task.node} if task.node else None,
        )


def _states(tasks: Iterable[Task]) -> dict[str, tuple[str, str]]:
    return {task.id: (task.status.state, task.desired) for task in tasks}


def _by_service(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.service, []).append(task)
    return found


# ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _update(service: Service) -> tuple[str, str]:
    return (service.update.state, service.update.started) if service.update is not None else ("", "")


def _rollout(engine: EngineRef, service: Service, update: UpdateStatus, origin: Origin) -> Iterator[Event]:
    if update.state not in REPORTED_UPDATES:
        return
    attrs = {"state": update.state}
    if update.message:
        attrs["why"] = update.message.strip()[:400]
    yield Event(
        # A paused update has only its start; it paused when the service was last written.
        at_ns=_ns(update.completed, service.updated, update.started),
        kind=EventKind.ROLLOUT,
        subject=Ref(engine=engine, kind=Kind.SERVICE, id=service.id, name=service.name),
        origin=origin,
        type="service",
        action=update.state,
        attrs=attrs,
    )


def _counted(service: Service, tasks: Sequence[Task]) -> tuple[int, int] | None:
    """Returns how many tasks run and how many should run; None for a job, because its tasks end."""
    alive = [task for task in tasks if task.desired == "running"]
    running = sum(task.status.state == "running" for task in alive)
    if service.spec.mode.replicated is not None:
        return running, service.spec.mode.replicated.replicas
    return (running, len(alive)) if service.spec.mode.everywhere is not None else None


def _settled(
    seen: _Replicas, service: Service, tasks: Sequence[Task], counted: tuple[int, int], now: float
) -> tuple[_Replicas, _Pending | None]:
    running, desired = counted
    short = running < desired
    if short == seen.short:
        return _Replicas(seen.short), None
    up = frozenset(task.id for task in tasks if task.desired == "running" and task.status.state == "running")
    pending = seen.pending or _Pending("short" if short else "full", now, _since(service, tasks, short=short), up)
    settle = SETTLE_SECONDS
    if short and service.update is not None and service.update.state in UPDATING:
        at_once = service.spec.update.parallelism if service.spec.update is not None else 1
        if at_once == 0 or desired - running <= at_once:
            settle = STALLED_SECONDS
            if pending.running != up:  # the update makes progress
                pending = replace(pending, since=now, running=up)
    if now - pending.since < settle:
        return _Replicas(seen.short, pending), None
    return _Replicas(short), pending


def _since(service: Service, tasks: Sequence[Task], *, short: bool) -> int:
    """Returns when the service began to have too few tasks, or enough again: the time when its last task ended or
    started, or when the number of replicas was changed."""
    ended = json_models.FINAL if short else ("running",)
    times = [_ns(task.status.at, task.created) for task in tasks if task.status.state in ended]
    return max([*times, _ns(service.updated)])


def _short(engine: EngineRef, service: Service, pending: _Pending, counted: tuple[int, int]) -> Event:
    return Event(
        at_ns=pending.at_ns,
        kind=EventKind.REPLICAS,
        subject=Ref(engine=engine, kind=Kind.SERVICE, id=service.id, name=service.name),
        origin=Origin.LIVE,
        type="service",
        action=pending.value,
        attrs={"running": str(counted[0]), "desired": str(counted[1])},
    )


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _node(engine: EngineRef, seen: _NodeSeen | None, node: Node, now: float) -> tuple[_NodeSeen, list[Event]]:
    state, availability = node.status.state, node.spec.availability
    if seen is None:  # it joined, which the manager's own stream reports
        return _NodeSeen(state, availability), []
    found = []
    availability = availability or seen.availability
    if availability != seen.availability:
        found.append(_node_event(engine, node, availability, _ns(node.updated)))
    if state == seen.state:
        return _NodeSeen(state, availability), found
    pending = seen.pending
    if pending is None or pending.value != state:
        pending = _Pending(state, now, _ns(node.updated))
    if now - pending.since < (UNKNOWN_SETTLE_SECONDS if state == "unknown" else SETTLE_SECONDS):
        return _NodeSeen(seen.state, availability, pending), found
    found.append(_node_event(engine, node, state, pending.at_ns))
    return _NodeSeen(state, availability), found


def _node_event(engine: EngineRef, node: Node, action: str, at_ns: int) -> Event:
    attrs = {"state": node.status.state, "availability": node.spec.availability}
    if node.status.message:
        attrs["why"] = node.status.message.strip()[:400]
    return Event(
        at_ns=at_ns,
        kind=EventKind.NODE_STATE,
        subject=Ref(engine=engine, kind=Kind.NODE, id=node.id, name=node.name),
        origin=Origin.LIVE,
        type="node",
        action=action,
        attrs=attrs,
    )


def _ns(*times: str) -> int:
    """Returns the first of these texts that is a time, in nanoseconds; 0 if no text is one."""
    found = [timestamps.parse_nanoseconds_or_none(text) for text in times if not text.startswith("0001")]
    return next((at for at in found if at is not None), 0)
