"""A Swarm's words into ours, pure: services, their tasks, and why tasks do not run as the engine says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from core.model.things import Port, Service

STACK = "com.docker.stack.namespace"
MODES = {
    "Replicated": "replicated",
    "Global": "global",
    "ReplicatedJob": "replicated-job",
    "GlobalJob": "global-job",
}
# What the engine says of an update that is not simply over.
UPDATES = {
    "updating": "updating",
    "paused": "update paused",
    "rollback_started": "rolling back",
    "rollback_paused": "rollback paused",
    "rollback_completed": "rolled back",
}
ENDED = frozenset({"failed", "rejected", "orphaned"})


class _Manager(msgspec.Struct):
    address: str = msgspec.field(name="Addr", default="")


class Node(msgspec.Struct):
    state: str = msgspec.field(name="LocalNodeState", default="inactive")
    manager: bool = msgspec.field(name="ControlAvailable", default=False)
    managers: list[_Manager] | None = msgspec.field(name="RemoteManagers", default=None)


class Info(msgspec.Struct):
    swarm: Node = msgspec.field(name="Swarm", default_factory=Node)


class _ContainerStatus(msgspec.Struct):
    container: str = msgspec.field(name="ContainerID", default="")


class _Status(msgspec.Struct):
    state: str = msgspec.field(name="State", default="")
    error: str = msgspec.field(name="Err", default="")
    message: str = msgspec.field(name="Message", default="")
    container: _ContainerStatus | None = msgspec.field(name="ContainerStatus", default=None)


class _Version(msgspec.Struct):
    index: int = msgspec.field(name="Index", default=0)


class Task(msgspec.Struct):
    id: str = msgspec.field(name="ID")
    service: str = msgspec.field(name="ServiceID", default="")
    node: str = msgspec.field(name="NodeID", default="")
    slot: int = msgspec.field(name="Slot", default=0)
    desired: str = msgspec.field(name="DesiredState", default="")
    created: str = msgspec.field(name="CreatedAt", default="")
    status: _Status = msgspec.field(name="Status", default_factory=_Status)


def service(engine: EngineRef, raw: Mapping[str, Any], tasks: Sequence[Task]) -> Service:
    """One service of `/services` and its tasks."""
    spec = raw.get("Spec") or {}
    name = spec.get("Name") or raw["ID"][:12]
    mode = _mode(spec)
    template = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    alive = [task for task in tasks if task.desired in ("running", "complete")]
    desired = len(alive)
    if mode == "replicated":
        desired = (spec["Mode"]["Replicated"] or {}).get("Replicas", 1)
    labels, inside = spec.get("Labels") or {}, template.get("Labels") or {}
    # Both are where people put them; where they differ, permission must hold for either.
    variants = [{**inside, **labels}, {**labels, **inside}]
    members = (task.status.container.container for task in tasks if task.status.container is not None)
    project = labels.get(STACK) or inside.get(STACK)
    return Service(
        ref=Ref(engine=engine, kind=Kind.SERVICE, id=raw["ID"], name=name),
        mode=mode,
        image=(template.get("Image") or "").partition("@")[0],
        running=sum(task.status.state == "running" for task in alive),
        desired=desired,
        labels=tuple(variants if variants[0] != variants[1] else variants[:1]),
        project=project,
        service=name,
        members=tuple(filter(None, members)),
        ports=_ports(raw),
        update=update(raw),
        health=_trouble(alive, desired),
    )


def _mode(spec: Mapping[str, Any]) -> str:
    return next((word for key, word in MODES.items() if key in (spec.get("Mode") or {})), "replicated")


def replicas(target: Ref, raw: Mapping[str, Any]) -> int:
    mode = _mode(raw["Spec"])
    if mode != "replicated":
        what = "one task runs on each node" if mode == "global" else "its tasks run once and end"
        raise errors.UserError(
            f"{target.name} is a {mode} service: {what}, so it has no number of replicas to scale.",
            hint="Nodes are added or drained instead." if mode == "global" else "Update the job instead.",
        )
    return int((raw["Spec"]["Mode"]["Replicated"] or {}).get("Replicas", 1))


def no_manager(engine: EngineRef, node: Node, target: Ref) -> errors.QuarterdeckError:
    if node.manager:
        return errors.EngineError(
            f"{engine} is a manager of its Swarm and the Swarm has no leader: nothing can be changed.",
            hint="Bring back enough managers that more than half of them run.",
        )
    where = ", ".join(one.address.rpartition(":")[0] for one in node.managers or ())
    hint = f"Its managers: {where}. Add one of them as an engine, or say it there." if where else ""
    if node.state in ("inactive", ""):
        return errors.UserError(f"{engine} is in no Swarm any more; {target.name} cannot be scaled there.")
    return errors.UserError(f"{engine} is a worker of its Swarm: only a manager can scale {target.name}.", hint=hint)


def failing(target: Ref, tasks: Sequence[Task]) -> tuple[int, str] | None:
    """How often the worst place's new tasks have ended by themselves, and why in words."""
    often: Counter[tuple[int, str]] = Counter()
    last: dict[tuple[int, str], Task] = {}
    for task in sorted(tasks, key=lambda task: task.created):
        if task.status.state in ENDED:
            place = (task.slot, "" if task.slot else task.node)
            often[place] += 1
            last[place] = task
    if not often:
        return None
    place, count = often.most_common(1)[0]
    task = last[place]
    error = (task.status.error or task.status.message or "no reason given").strip().rstrip(".")
    return count, f"{target.name}.{task.slot} {task.status.state}: {error[:400]}"


def why(tasks: Sequence[Task], failing: tuple[int, str] | None) -> str:
    """What stands in the way, as the engine says it."""
    if failing:
        return f"; {failing[1]}"
    waiting = [task for task in tasks if task.desired == "running" and task.status.state != "running"]
    for task in waiting:
        if task.status.error:
            return f"; {len(waiting)} {task.status.state}: {task.status.error.strip()[:400]}"
    return f"; {len(waiting)} {waiting[0].status.state}" if waiting else ""


def _trouble(alive: Sequence[Task], desired: int) -> str:
    """Why fewer run than should, in a few words."""
    waiting = [task for task in alive if task.status.state != "running"]
    if not waiting or not desired:
        return ""
    counts = Counter(task.status.state for task in waiting)
    said = next((task.status.error for task in waiting if task.status.error), "")
    text = ", ".join(f"{number} {state}" for state, number in counts.most_common())
    return f"{text}: {said.strip()[:120]}" if said else text


def update(raw: Mapping[str, Any]) -> str:
    status = raw.get("UpdateStatus") or {}
    word = UPDATES.get(status.get("State") or "", "")
    message = (status.get("Message") or "").strip()[:200]
    return f"{word}: {message}" if word and message and word != "updating" else word


def _ports(raw: Mapping[str, Any]) -> tuple[Port, ...]:
    found = (raw.get("Endpoint") or {}).get("Ports") or ()
    return tuple(
        Port(one.get("TargetPort") or 0, one.get("Protocol") or "tcp", one.get("PublishedPort") or None, "*")
        for one in found
    )
