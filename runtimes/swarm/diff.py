"""What happened in a Swarm between two looks at it, as Events; pure.

A Swarm tells of no task, so its tasks, services and nodes are looked at again and again. In come pictures and the
seconds of a clock that only moves on; out come what is known now and what it makes sense to tell. The first picture is
the baseline. What may pass by itself is believed when it has stood a while: a service short of replicas, a node that is
down. A new leader takes every node for unknown until it reports, which takes some seconds, so that word is believed
last. Times are the engine's own, so that two who look at one Swarm tell of one fact in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core import errors
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import timestamps
from runtimes.swarm import decode, models
from runtimes.swarm.models import Node, Service, Task, UpdateStatus

SETTLE = 5.0  # seconds
UNKNOWN_SETTLE = 20.0
STALLED = 60.0  # seconds an update may go on with as many tasks missing as it replaces at once, and none of them new
UPDATING = frozenset({"updating", "rollback_started"})
TOLD_UPDATES = frozenset({"paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A Swarm at one moment."""

    services: Sequence[Service] = ()
    tasks: Sequence[Task] = ()
    nodes: Sequence[Node] = ()

    def node_name(self, id: str) -> str:  # noqa: A002
        return next((node.name for node in self.nodes if node.id == id), id[:12])


@dataclass(frozen=True, slots=True)
class _Pending:
    """Something new that is not believed yet: seen first at `since`, while the engine's own time of it is `at_ns`.
    `running`: the tasks that ran then, while an update goes on."""

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
class Known:
    """What was told or need not be, and what waits to be believed."""

    tasks: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # state and desired state
    updates: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # state and begin, by service
    replicas: Mapping[str, _Replicas] = field(default_factory=dict)
    nodes: Mapping[str, _NodeSeen] = field(default_factory=dict)

    @property
    def calm(self) -> bool:
        """Whether nothing waits: the same picture again would tell nothing, however late."""
        return not any(seen.pending for kept in (self.replicas, self.nodes) for seen in kept.values())


def baseline(picture: Picture) -> Known:
    """As it is now, nothing of it new."""
    by_service = _by_service(picture.tasks)
    return Known(
        tasks=_states(picture.tasks),
        updates={service.id: _update(service) for service in picture.services},
        replicas={
            service.id: _Replicas(counted[0] < counted[1])
            for service in picture.services
            if (counted := _counted(service, by_service.get(service.id, ())))
        },
        nodes={node.id: _NodeSeen(node.status.state, node.spec.availability) for node in picture.nodes},
    )


def step(engine: EngineRef, known: Known, picture: Picture, now: float) -> tuple[Known, list[Event]]:
    """What is known after `picture`, and what is told of it, in the order of the engine's times."""
    by_service = _by_service(picture.tasks)
    found = list(_failures(engine, picture, known.tasks))
    replicas: dict[str, _Replicas] = {}
    for service in picture.services:
        tasks = by_service.get(service.id, ())
        before = known.updates.get(service.id)
        if before is not None and before != _update(service) and service.update is not None:
            found += _rollout(engine, service, service.update, Origin.LIVE)
        if (counted := _counted(service, tasks)) is not None:
            seen, short = _settled(known.replicas.get(service.id, _Replicas(False)), service, tasks, counted, now)
            replicas[service.id] = seen
            if short is not None:
                found.append(_short(engine, service, short, counted))
    nodes: dict[str, _NodeSeen] = {}
    for node in picture.nodes:
        nodes[node.id], told = _node(engine, known.nodes.get(node.id), node, now)
        found += told
    found.sort(key=lambda event: event.at_ns)
    return (
        Known(
            tasks=_states(picture.tasks),
            updates={service.id: _update(service) for service in picture.services},
            replicas=replicas,
            nodes=nodes,
        ),
        found,
    )


def replays(engine: EngineRef, picture: Picture, since_ns: int) -> list[Event]:
    """What a picture alone still tells of the time from `since_ns` on: tasks that failed, updates that ended."""
    found = [event for event in _failures(engine, picture, {}, Origin.REPLAY) if event.at_ns >= since_ns]
    for service in picture.services:
        if service.update is not None:
            found += [
                event for event in _rollout(engine, service, service.update, Origin.REPLAY) if event.at_ns >= since_ns
            ]
    found.sort(key=lambda event: event.at_ns)
    return found


# ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _failures(
    engine: EngineRef, picture: Picture, known: Mapping[str, tuple[str, str]], origin: Origin = Origin.LIVE
) -> Iterator[Event]:
    names = {service.id: service.name for service in picture.services}
    for task in picture.tasks:
        state = task.status.state
        if state not in decode.ENDED:
            continue
        before, wanted = known.get(task.id, ("", ""))
        if before in decode.ENDED or (before == "running" and wanted not in ("running", "complete")):
            continue  # told already, or ended because it was told to
        service, node = names.get(task.service, task.service[:12]), picture.node_name(task.node)
        attrs = {"state": state, "why": task.why, "service": service, "node": node if task.node else ""}
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
    if update.state not in TOLD_UPDATES:
        return
    attrs = {"state": update.state}
    if update.message:
        attrs["why"] = update.message.strip()[:400]
    yield Event(
        # One that is paused says when it began; when it stopped is when the service was last written.
        at_ns=_ns(update.completed, service.updated, update.started),
        kind=EventKind.ROLLOUT,
        subject=Ref(engine=engine, kind=Kind.SERVICE, id=service.id, name=service.name),
        origin=origin,
        type="service",
        action=update.state,
        attrs=attrs,
    )


def _counted(service: Service, tasks: Sequence[Task]) -> tuple[int, int] | None:
    """How many run and how many should; None where tasks are meant to end."""
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
    settle = SETTLE
    if short and service.update is not None and service.update.state in UPDATING:
        at_once = service.spec.update.parallelism if service.spec.update is not None else 1
        if at_once == 0 or desired - running <= at_once:
            settle = STALLED
            if pending.running != up:  # it gets on
                pending = replace(pending, since=now, running=up)
    if now - pending.since < settle:
        return _Replicas(seen.short, pending), None
    return _Replicas(short), pending


def _since(service: Service, tasks: Sequence[Task], *, short: bool) -> int:
    """When it came to have too few, or enough again: when the last of its tasks ended, or came to run, or when it was
    asked to have another number."""
    ended = models.OVER if short else ("running",)
    times = [_ns(task.status.at, task.created) for task in tasks if task.status.state in ended]
    return max([*times, _ns(service.updated)])


def _short(engine: EngineRef, service: Service, told: _Pending, counted: tuple[int, int]) -> Event:
    return Event(
        at_ns=told.at_ns,
        kind=EventKind.REPLICAS,
        subject=Ref(engine=engine, kind=Kind.SERVICE, id=service.id, name=service.name),
        origin=Origin.LIVE,
        type="service",
        action=told.value,
        attrs={"running": str(counted[0]), "desired": str(counted[1])},
    )


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _node(engine: EngineRef, seen: _NodeSeen | None, node: Node, now: float) -> tuple[_NodeSeen, list[Event]]:
    state, availability = node.status.state, node.spec.availability
    if seen is None:  # it has joined, of which the manager tells itself
        return _NodeSeen(state, availability), []
    told = []
    availability = availability or seen.availability
    if availability != seen.availability:
        told.append(_node_event(engine, node, availability, _ns(node.updated)))
    if state == seen.state:
        return _NodeSeen(state, availability), told
    pending = seen.pending
    if pending is None or pending.value != state:
        pending = _Pending(state, now, _ns(node.updated))
    if now - pending.since < (UNKNOWN_SETTLE if state == "unknown" else SETTLE):
        return _NodeSeen(seen.state, availability, pending), told
    told.append(_node_event(engine, node, state, pending.at_ns))
    return _NodeSeen(state, availability), told


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
    """The first of these that is a time, in nanoseconds; 0 where none is."""
    for text in times:
        if text and not text.startswith("0001"):
            try:
                return timestamps.nanoseconds(text)
            except errors.InvalidResponse:
                continue
    return 0
