"""A Swarm as one of its managers tells of it: services and tasks in, a service's number of replicas out.

The same daemon as its containers, so there is no engine of its own: a daemon becomes a manager, or stops being one,
while we run, and a service is named by the manager's host. Tasks have no events and are looked at again and again. An
update carries the version it was made from; one that came too late changed nothing and is sent once more.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.things import Outcome, Port, Service
from runtimes.docker_services import Ask
from runtimes.jobs import Job

T = TypeVar("T")
STACK = "com.docker.stack.namespace"
OUT_OF_SEQUENCE = "out of sequence"
POLL = 0.5  # seconds between looks at the tasks
STEADY = 3.0  # seconds they all have to run
SECOND_TRY = 2  # failed tasks of one place after which waiting on is no use
LAST_LOOK = 10.0  # seconds
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


class _Node(msgspec.Struct):
    state: str = msgspec.field(name="LocalNodeState", default="inactive")
    manager: bool = msgspec.field(name="ControlAvailable", default=False)
    managers: list[_Manager] | None = msgspec.field(name="RemoteManagers", default=None)


class _Info(msgspec.Struct):
    swarm: _Node = msgspec.field(name="Swarm", default_factory=_Node)


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


_TASKS = msgspec.json.Decoder(list[Task])
_SERVICES = msgspec.json.Decoder(list[dict[str, Any]])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Follow:
    """A service that was told to have `wanted` where it had `was`. `known`: the tasks before; `ends`: by our clock."""

    target: Ref
    was: int
    wanted: int
    known: Collection[str]
    ends: float
    seconds: float


class Swarm:
    """What one daemon can say and do of the Swarm it is in."""

    def __init__(self, ask: Ask, engine: Callable[[], EngineRef]) -> None:
        self._ask, self._engine = ask, engine

    async def node(self, seconds: float) -> _Node:
        answer = await self._ask("GET", "/info", seconds)
        try:
            return msgspec.json.decode(answer.body, type=_Info).swarm
        except msgspec.DecodeError as error:
            raise errors.Garbled(f"{self._engine()} told of itself what cannot be understood.") from error

    async def services(self, seconds: float) -> list[Service]:
        answer = await self._ask("GET", "/services", seconds)
        tasks = await self._tasks(seconds)
        by_service: dict[str, list[Task]] = {}
        for task in tasks:
            by_service.setdefault(task.service, []).append(task)
        found = _decode(_SERVICES, answer.body)
        return sorted(
            (service(self._engine(), raw, by_service.get(raw["ID"], ())) for raw in found),
            key=lambda row: row.ref.name,
        )

    async def scale(self, target: Ref, wanted: int, timeout: float, job: Job) -> Outcome:
        """Raises UserError for a service that has no number of replicas, and where we are no manager; comes back when
        the tasks run steadily, keep failing, or the time is over."""
        began = time.monotonic()
        known = {task.id for task in await self._tasks(LAST_LOOK, target)}
        was, changed = await self._update(target, wanted)
        follow = _Follow(target=target, was=was, wanted=wanted, known=known, ends=began + timeout, seconds=timeout)
        try:
            status, detail = await (self._settled(follow, job) if changed else self._left_alone(follow))
        except asyncio.CancelledError:
            job.end(Outcome(status=Status.UNKNOWN, detail=f"{wanted} were asked for; nobody waited until they run"))
            raise
        return Outcome(status=status, detail=detail, took=time.monotonic() - began)

    async def _update(self, target: Ref, wanted: int) -> tuple[int, bool]:
        """How many it had, and whether that was changed."""
        for attempt in (1, 2):
            raw = await self._inspect(target)
            was = _replicas(target, raw)
            if was == wanted:
                return was, False
            spec: dict[str, Any] = raw["Spec"]
            spec["Mode"] = {"Replicated": {"Replicas": wanted}}
            path = f"/services/{_id(target)}/update?version={raw['Version']['Index']}&registryAuthFrom=spec"
            try:
                await self._manage("POST", path, target, body=spec)
            except errors.Rejected as error:
                if OUT_OF_SEQUENCE not in error.text or attempt == 2:
                    raise
                continue
            return was, True
        raise AssertionError("two attempts end in an answer or an error")

    async def _left_alone(self, follow: _Follow) -> tuple[Status, str]:
        tasks = await self._tasks(LAST_LOOK, follow.target)
        running = sum(task.status.state == "running" for task in tasks)
        if running == follow.wanted:
            return Status.NOOP, f"has {follow.wanted} already"
        failing = _failing(follow.target, tasks)
        return Status.NOOP, f"was asked to have {follow.wanted} already; {running} run{_why(tasks, failing)}"

    async def _settled(self, follow: _Follow, job: Job) -> tuple[Status, str]:
        target, wanted = follow.target, follow.wanted
        steady = 0.0
        while True:
            late = time.monotonic() >= follow.ends
            try:
                tasks = await self._tasks(LAST_LOOK, target)
            except errors.EngineError as error:
                # A Swarm that chooses another leader is back in some seconds.
                if late:
                    return Status.UNKNOWN, f"{wanted} were asked for, and then: {error.say()}"
                await asyncio.sleep(POLL)
                continue
            running = [task for task in tasks if task.status.state == "running"]
            failing = _failing(target, [task for task in tasks if task.id not in follow.known])
            if len(running) == wanted and all(task.desired == "running" for task in running):
                steady = steady or time.monotonic()
                if wanted == 0 or time.monotonic() - steady >= STEADY:
                    return Status.DONE, f"from {follow.was} to {wanted}{await self._update_told(target)}"
            else:
                steady = 0.0
            so_far = f"{len(running)} of {wanted} run"
            job.progress(f"{target.name}: {so_far}{f'; {failing[1]}' if failing else ''}")
            if failing and failing[0] >= SECOND_TRY:
                cure = f"The Swarm goes on trying; to end that: scale {target.name}={follow.was}"
                return Status.FAILED, f"{so_far}; {failing[1]}. {cure}"
            if late:
                told = await self._update_told(target)
                return Status.FAILED, f"{so_far} after {follow.seconds:.0f} s{_why(tasks, failing)}{told}"
            await asyncio.sleep(POLL)

    async def _update_told(self, target: Ref) -> str:
        state = _update(await self._inspect(target))
        return f"; {state}" if state else ""

    async def _inspect(self, target: Ref) -> dict[str, Any]:
        answer = await self._manage("GET", f"/services/{_id(target)}", target)
        found: dict[str, Any] = msgspec.json.decode(answer)
        return found

    async def _tasks(self, seconds: float, target: Ref | None = None) -> list[Task]:
        path = "/tasks"
        if target is not None:
            path += "?filters=" + urllib.parse.quote(msgspec.json.encode({"service": [target.id]}).decode())
            return _decode(_TASKS, await self._manage("GET", path, target))
        return _decode(_TASKS, (await self._ask("GET", path, seconds)).body)

    async def _manage(self, method: str, path: str, target: Ref, body: Any = None) -> bytes:
        try:
            return (await self._ask(method, path, LAST_LOOK, body=body)).body
        except errors.NotFound:
            raise errors.NotFound(f"{target.name} is gone: the Swarm has no such service.") from None
        except errors.Rejected as error:
            if error.code != 503:
                raise
            node = await self.node(LAST_LOOK)
            raise _no_manager(self._engine(), node, target) from error


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
        update=_update(raw),
        health=_trouble(alive, desired),
    )


def _mode(spec: Mapping[str, Any]) -> str:
    return next((word for key, word in MODES.items() if key in (spec.get("Mode") or {})), "replicated")


def _replicas(target: Ref, raw: Mapping[str, Any]) -> int:
    mode = _mode(raw["Spec"])
    if mode != "replicated":
        what = "one task runs on each node" if mode == "global" else "its tasks run once and end"
        raise errors.UserError(
            f"{target.name} is a {mode} service: {what}, so it has no number of replicas to scale.",
            hint="Nodes are added or drained instead." if mode == "global" else "Update the job instead.",
        )
    return int((raw["Spec"]["Mode"]["Replicated"] or {}).get("Replicas", 1))


def _no_manager(engine: EngineRef, node: _Node, target: Ref) -> errors.QuarterdeckError:
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


def _failing(target: Ref, tasks: Sequence[Task]) -> tuple[int, str] | None:
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


def _why(tasks: Sequence[Task], failing: tuple[int, str] | None) -> str:
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


def _update(raw: Mapping[str, Any]) -> str:
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


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise errors.Garbled("The Swarm answered something that is not what we expect.") from error


def _id(ref: Ref) -> str:
    return urllib.parse.quote(ref.id, safe="")
