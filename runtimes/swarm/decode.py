"""Decodes a Swarm's JSON into Quarterdeck's values: services, tasks, nodes, stacks, events, and why tasks do not run.

This module also builds the errors for two cases: a daemon that is no manager, and a Swarm without a leader. A manager
without a leader answers with status 500 and a sentence, which this module recognises. Times are in RFC 3339 format with
nanoseconds. Unknown states, modes and availabilities are returned unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from core import errors
from core.model import swarm
from core.model.containers import Port
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.model.services import Service
from runtimes.formats import json_decoder, skipped_data, timestamps
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.swarm import json_models
from runtimes.swarm.json_models import LocalSwarmInfo, Node, Task

STACK = "com.docker.stack.namespace"
_ADD_MANAGER = "Add a manager of the Swarm to `engines` in quarterdeck.yaml"
MODES = {
    "Replicated": "replicated",
    "Global": "global",
    "ReplicatedJob": "replicated-job",
    "GlobalJob": "global-job",
}
# The states of an update that people see, by the engine's word.
UPDATES = {
    "updating": "updating",
    "paused": "update paused",
    "rollback_started": "rolling back",
    "rollback_paused": "rollback paused",
    "rollback_completed": "rolled back",
}
FAILED = frozenset({"failed", "rejected", "orphaned"})
# The attributes of an update that have the new value of what changed, with Quarterdeck's name for each. A manager sets
# them for objects of this type only.
CHANGED: Mapping[str, Mapping[str, str]] = {
    "service": {"image.new": "image", "replicas.new": "replicas", "updatestate.new": "update"},
    "node": {
        "state.new": "state",
        "availability.new": "availability",
        "role.new": "role",
        "reachability.new": "reachability",
    },
}


def decode_events(
    engine: EngineRef, lines: bytes, skipped: SkippedDataCounter | None = None, *, replay_before: int
) -> list[Event]:
    """Decodes whole lines of a manager's `/events`; only events of the Swarm are returned. Lines that cannot be decoded
    are left out."""
    found = []
    for one in json_decoder.decode_lines(json_models.Event, lines, skipped):
        at_ns = one.at_ns or int(one.at * 1e9)
        if one.scope != "swarm":
            continue
        if 0 < at_ns <= timestamps.MAX_NANOSECONDS:
            found.append(_event(engine, one, at_ns, replay_before))
        elif skipped is not None:
            skipped.add(skipped_data.EVENT, "an event has no valid time")
    return found


def _event(engine: EngineRef, raw: json_models.Event, at_ns: int, replay_before: int) -> Event:
    given = raw.actor.attributes or {}
    object_id, action = raw.actor.id, raw.action.partition(": ")[0]
    kind = json_models.KINDS.get(raw.type, Kind.ENGINE)
    changed = CHANGED.get(raw.type, {}) if action == "update" else {}
    return Event(
        at_ns=at_ns,
        kind=EventKind.OTHER,
        subject=Ref(engine=engine, kind=kind, id=object_id, name=given.get("name") or object_id[:12]),
        origin=Origin.REPLAY if at_ns < replay_before else Origin.LIVE,
        type=raw.type,
        action=action,
        attrs={name: given[key] for key, name in changed.items() if given.get(key)},
    )


def node(engine: EngineRef, raw: Node, tasks: int | None) -> swarm.Node:
    """Decodes one node of `/nodes`. `tasks`: how many tasks run on it."""
    platform = raw.description.platform
    return swarm.Node(
        ref=Ref(engine=engine, kind=Kind.NODE, id=raw.id, name=raw.name),
        state=raw.status.state,
        availability=raw.spec.availability,
        role=raw.spec.role,
        leader=raw.manager is not None and raw.manager.leader,
        address=raw.status.address,
        version=raw.description.engine.version,
        system=f"{platform.system}/{platform.architecture}".strip("/"),
        labels=raw.spec.labels or {},
        message=raw.status.message,
        tasks=tasks,
    )


def task(
    engine: EngineRef,
    raw: Task,
    service: json_models.Service | None,
    node: str,
    skipped: SkippedDataCounter | None = None,
) -> swarm.Task:
    """Decodes one task of `/tasks`. `service`: its service, None if it was removed. `node`: the name of its node."""
    labels = (raw.spec.container and raw.spec.container.labels) or {}
    if service is not None:
        labels = {**labels, **(service.spec.labels or {})}
    name = (service.spec.name if service is not None else "") or raw.service[:12]
    container = raw.status.container.container if raw.status.container is not None else ""
    return swarm.Task(
        ref=Ref(engine=engine, kind=Kind.TASK, id=raw.id, name=task_name(name, raw, node)),
        service=name,
        service_id=raw.service,
        state=raw.status.state,
        desired=raw.desired,
        at=timestamps.parse_seconds(raw.status.at, skipped) or 0.0,
        image=raw.image.partition("@")[0],
        node=node,
        why=raw.why if raw.status.error or raw.status.state in FAILED else "",
        container=container,
        exit_code=raw.exit_code,
        labels=labels,
        project=labels.get(STACK),
    )


def task_name(service: str, raw: Task, node: str) -> str:
    """Returns a task's name: `web.3`, or `web.node7` for a service with one task on each node."""
    return f"{service}.{raw.slot or node or raw.id[:12]}"


def stacks(services: Sequence[Service], more: Mapping[str, Sequence[json_models.StackPart]]) -> list[swarm.Stack]:
    """Groups services into stacks, sorted by name. `more`: the `networks`, `secrets` and `configs` that carry a stack's
    label."""
    found: dict[str, list[Service]] = {}
    for row in services:
        if row.project:
            found.setdefault(row.project, []).append(row)
    parts: dict[str, dict[str, list[str]]] = {}
    for kind, rows in more.items():
        for raw in rows:
            spec = raw.spec or raw
            if name := (spec.labels or {}).get(STACK):
                parts.setdefault(name, {}).setdefault(kind, []).append(spec.name)
    return [_stack(name, found.get(name, ()), parts.get(name, {})) for name in sorted({*found, *parts})]


def _stack(name: str, rows: Sequence[Service], parts: Mapping[str, Sequence[str]]) -> swarm.Stack:
    return swarm.Stack(
        name=name,
        services=tuple(row.ref for row in rows),
        labels=tuple(labels for row in rows for labels in row.labels) or ({STACK: name},),
        running=sum(row.running for row in rows),
        desired=sum(row.desired or 0 for row in rows),
        networks=tuple(sorted(parts.get("networks", ()))),
        secrets=tuple(sorted(parts.get("secrets", ()))),
        configs=tuple(sorted(parts.get("configs", ()))),
    )


def service(engine: EngineRef, raw: json_models.Service, tasks: Sequence[Task]) -> Service:
    """Decodes one service of `/services`, together with its tasks."""
    spec, container = raw.spec, raw.spec.template.container
    mode, replicated = spec.mode.word, spec.mode.replicated
    alive = [task for task in tasks if task.desired in ("running", "complete")]
    desired = len(alive)
    if mode == "replicated":
        desired = replicated.replicas if replicated is not None else 1
    labels, inside = spec.labels or {}, (container.labels if container is not None else None) or {}
    # Labels may be on the service or on its containers. If the two differ, policy must allow both.
    variants = [{**inside, **labels}, {**labels, **inside}]
    members = (task.status.container.container for task in tasks if task.status.container is not None)
    project = labels.get(STACK) or inside.get(STACK)
    return Service(
        ref=Ref(engine=engine, kind=Kind.SERVICE, id=raw.id, name=raw.name),
        mode=mode,
        image=container.image.partition("@")[0] if container is not None else "",
        running=sum(task.status.state == "running" for task in alive),
        desired=desired,
        labels=tuple(variants if variants[0] != variants[1] else variants[:1]),
        project=project,
        service=raw.name,
        members=tuple(filter(None, members)),
        ports=_ports(raw),
        update=_update_text(raw.update.state, raw.update.message) if raw.update is not None else "",
        health=_trouble(alive, desired),
    )


def mode_of(spec: Mapping[str, Any]) -> str:
    """Returns a service's mode: `replicated`, `global`, `replicated-job` or `global-job`."""
    return next((word for key, word in MODES.items() if key in (spec.get("Mode") or {})), "replicated")


def replicas(target: Ref, raw: Mapping[str, Any]) -> int:
    """Returns the requested number of replicas. Raises UserError for a service in another mode."""
    mode = mode_of(raw["Spec"])
    if mode != "replicated":
        what = "one task runs on each node" if mode == "global" else "its tasks run once and end"
        raise errors.UserError(
            f"{target.name} is a {mode} service: {what}, so it has no number of replicas to scale.",
            hint=f"To run it on fewer nodes, give: service update --constraint-add EXPRESSION {target.name}"
            if mode == "global"
            else f"To run the job again, give: service update --force {target.name}",
        )
    return int((raw["Spec"]["Mode"]["Replicated"] or {}).get("Replicas", 1))


def no_manager(engine: EngineRef, local: LocalSwarmInfo, target: Ref) -> errors.QuarterdeckError:
    """Returns the error for a daemon that should scale a service but is not a manager of its Swarm."""
    where = ", ".join(one.address.rpartition(":")[0] for one in local.managers or ())
    hint = f"{_ADD_MANAGER}: {where}." if where else f"{_ADD_MANAGER}."
    if local.manager:
        return errors.UserError(
            f"{target.name} belongs to the Swarm, not to {engine}.",
            hint=f"Write only {target.name}, without the engine.",
        )
    if local.state in ("inactive", ""):
        return errors.UserError(f"{target.name} cannot be scaled: {engine} left its Swarm.", hint=f"{_ADD_MANAGER}.")
    return errors.UserError(
        f"{target.name} cannot be scaled: {engine} is only a worker of its Swarm, not a manager.", hint=hint
    )


def leaderless(engine: EngineRef) -> errors.EngineError:
    """Returns the error for a Swarm without a leader."""
    return errors.EngineError(
        f"{engine} has no leader: it can be neither read nor changed.",
        hint="Start enough managers: more than half of them must run.",
    )


def failing(target: Ref, tasks: Sequence[Task], *, must_run: bool) -> tuple[int, str] | None:
    """Returns the number of failed tasks in the slot with the most failures, and the reason as a sentence. None if no
    task failed. `must_run`: a task that ends by itself counts as failed too, even with code 0."""
    states = FAILED | {"complete"} if must_run else FAILED
    often: Counter[tuple[int, str]] = Counter()
    last: dict[tuple[int, str], Task] = {}
    for task in sorted(tasks, key=lambda task: task.created):
        if task.status.state in states:
            slot = (task.slot, "" if task.slot else task.node)
            often[slot] += 1
            last[slot] = task
    if not often:
        return None
    slot, count = often.most_common(1)[0]
    task = last[slot]
    name = f"{target.name}.{task.slot or task.node}"
    if task.status.state == "complete":
        return count, f"{name} ended by itself with code 0, but the program of a service must keep running"
    return count, f"{name} {task.status.state}: {task.why or 'no reason given'}"


def why(tasks: Sequence[Task], failing: tuple[int, str] | None) -> str:
    """Returns why tasks do not run, in the engine's own words; empty if all run. `failing`: as `failing()` returned."""
    if failing:
        return f"; {failing[1]}"
    waiting = [task for task in tasks if task.desired == "running" and task.status.state != "running"]
    for task in waiting:
        if task.status.error:
            return f"; {len(waiting)} {task.status.state}: {task.status.error.strip()[:400]}"
    return f"; {len(waiting)} {waiting[0].status.state}" if waiting else ""


def _trouble(alive: Sequence[Task], desired: int) -> str:
    """Returns why fewer tasks run than requested, in a few words."""
    waiting = [task for task in alive if task.status.state != "running"]
    if not waiting or not desired:
        return ""
    counts = Counter(task.status.state for task in waiting)
    error = next((task.status.error for task in waiting if task.status.error), "")
    text = ", ".join(f"{number} {state}" for state, number in counts.most_common())
    return f"{text}: {error.strip()[:120]}" if error else text


def update(raw: Mapping[str, Any]) -> str:
    """Returns the state of a service's update and the engine's message; empty if the update needs no attention."""
    status = raw.get("UpdateStatus") or {}
    return _update_text(str(status.get("State") or ""), str(status.get("Message") or ""))


def _update_text(state: str, message: str) -> str:
    word, shown = UPDATES.get(state, ""), message.strip()[:200]
    return f"{word}: {shown}" if word and shown and word != "updating" else word


def _ports(raw: json_models.Service) -> tuple[Port, ...]:
    found = (raw.endpoint.ports if raw.endpoint is not None else None) or ()
    return tuple(Port(one.inside or 0, one.protocol or "tcp", one.outside or None, "*") for one in found)


def stop_grace(raw: dict[str, Any]) -> float:
    """Returns the seconds that the tasks of a service have asked for between the stop signal and the kill."""
    container = (raw["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}
    given = container.get("StopGracePeriod")
    return given / 1e9 if isinstance(given, int) and given > 0 else 0.0
