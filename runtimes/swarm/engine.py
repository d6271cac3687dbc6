"""A Swarm behind the port: one engine with as many doors as daemons of this process manage it.

It is there as long as one of its doors is (`present`); the table of clusters lets doors in and out. It knows services,
tasks, nodes and stacks; containers are their nodes' own. Whatever is asked goes through a door whose owner allows it,
and through the next one where that is gone or leaderless. What takes long is a job beside us, not beside the Swarm: it
only waits for what the Swarm does by itself.
"""

from __future__ import annotations

import asyncio
import functools
import time
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from core import errors
from core.model import actions, swarm
from core.model.containers import Container
from core.model.engines import Engine
from core.model.events import Event
from core.model.jobs import JobStarted
from core.model.refs import EngineRef, Ref
from core.model.replies import Status
from core.model.results import Document, LogPage, Outcome
from core.model.services import Service, Services
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.base.jobs import PART_OF_WHAT_BEGAN, Job, JobAdapter
from runtimes.swarm import decode, models, pretty, rollouts, service_spec
from runtimes.swarm import logs as swarm_logs
from runtimes.swarm.managers import Door, Doors
from runtimes.swarm.watcher import SwarmWatcher

KIND = "swarm"
NODES_OWN = "Containers are told and changed by the engine of the node they run on; tasks lists them with their nodes."


class Swarm(JobAdapter):
    """`cluster` is the Swarm's id, kept when it is nobody's here any more."""

    alternatives: ClassVar[Mapping[str, str]] = {
        "container.list": NODES_OWN,
        "container.logs": "It reads the logs of a service's tasks together: service.logs.",
        "container.restart": NODES_OWN,
        "container.stop": "It can scale the service to fewer: service.scale.",
        "stats.read": NODES_OWN,
    }

    def __init__(self, host: str, *, doubt: Callable[[Door], None]) -> None:
        # Until it is a Swarm it goes by the host of the daemon it came with; nobody sees it then.
        super().__init__(EngineRef(host=host, kind=KIND))
        self.cluster = ""
        self.doors = Doors(lambda: self.ref, doubt)
        self._lookout = self._new_lookout()

    # ── being there ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def present(self) -> bool:
        return bool(self.doors.all)

    @property
    def engine_id(self) -> str:
        return self.cluster

    def found(self, cluster: str, ref: EngineRef) -> None:
        """It is this Swarm from now on."""
        if cluster != self.cluster or ref != self.ref:
            self.cluster, self._ref = cluster, ref
            self._lookout = self._new_lookout()

    def enter(self, door: Door) -> None:
        self.doors.add(door)

    def leave(self, door: Door) -> None:
        self.doors.remove(door)

    def _new_lookout(self) -> SwarmWatcher:
        cluster = self.cluster
        return SwarmWatcher(self.doors, lambda: self.ref, lambda: self.present and self.cluster == cluster)

    def _allows(self, verb: str) -> bool:
        return super()._allows(verb) and (verb in PART_OF_WHAT_BEGAN or self.doors.permit(verb))

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        return dict.fromkeys(ids)

    # ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        doors = self.doors.all
        told = Engine(
            ref=self.ref,
            address=", ".join(door.address for door in doors),
            verbs=tuple(sorted(self.verbs)),
            events="polled",
        )
        try:
            nodes = await self._nodes(action.verb, seconds)
        except errors.QuarterdeckError as error:
            return msgspec.structs.replace(told, fault=error.full_message())
        leader = next((node for node in nodes if node.manager is not None and node.manager.leader), None)
        platform = leader.description.platform if leader is not None else None
        return msgspec.structs.replace(
            told,
            version=leader.description.engine.version if leader is not None else "",
            api=doors[0].api if doors else "",
            system=f"{platform.system}/{platform.architecture}" if platform is not None else "",
            notes=tuple(_counted(nodes)),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        answer = await self.doors.ask(action.verb, "GET", "/swarm", seconds)
        data = models.decode(models.RAW, answer.body)
        data.pop("JoinTokens", None)
        ref = action.targets()[0]
        return Document(ref=ref, data=redact_json.mask_env_values(data))

    @does(actions.ListEvents)
    async def list_events(self, action: actions.ListEvents, seconds: float) -> tuple[Event, ...]:
        return await self._lookout.list_events(action.since_ns, action.limit, seconds)

    def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        return self._lookout.events(since_ns)

    @does(swarm.ReadJoinToken)
    async def read_join_token(self, action: swarm.ReadJoinToken, seconds: float) -> swarm.Token:
        if action.role not in ("worker", "manager"):
            raise errors.BadUsage(f"A machine joins as worker or manager, not as “{action.role}”.")
        nodes, answer = await asyncio.gather(
            self._nodes(action.verb, seconds), self.doors.ask(action.verb, "GET", "/swarm", seconds)
        )
        tokens = models.decode(models.CLUSTER, answer.body).tokens
        managers = [node.manager for node in nodes if node.manager is not None and node.manager.address]
        if not managers:
            raise errors.EngineError(f"{self.ref} tells the address of no manager.")
        managers.sort(key=lambda manager: not manager.leader)
        token = tokens.manager if action.role == "manager" else tokens.worker
        return swarm.Token(role=action.role, line=f"docker swarm join --token {token} {managers[0].address}")

    # ── services ─────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        return Services(rows=tuple(await self._services(action.verb, seconds)))

    @does(swarm.ListStacks)
    async def list_stacks(self, action: swarm.ListStacks, seconds: float) -> swarm.Stacks:
        label = urllib.parse.quote(msgspec.json.encode({"label": [decode.STACK]}).decode())
        kinds = ("networks", "secrets", "configs")
        rows, parts = await asyncio.gather(
            self._services(action.verb, seconds),
            asyncio.gather(
                *(self.doors.ask(action.verb, "GET", f"/{kind}?filters={label}", seconds) for kind in kinds)
            ),
        )
        more = {kind: models.decode(models.RAWS, part.body) for kind, part in zip(kinds, parts, strict=True)}
        return swarm.Stacks(rows=tuple(decode.stacks(rows, more)))

    @does(swarm.InspectService)
    async def inspect_service(self, action: swarm.InspectService, seconds: float) -> Document:
        answer = await self._about(action.target, action.verb, "GET", f"/services/{_id(action.target)}", seconds)
        data = redact_json.mask_env_values(models.decode(models.RAW, answer))
        return Document(ref=action.target, data={**data, "pretty": pretty.service(data)})

    @does(swarm.ReadServiceLogs)
    async def read_service_logs(self, action: swarm.ReadServiceLogs, seconds: float) -> LogPage | JobStarted:
        logs = swarm_logs.Logs(self.doors, action)
        if action.follow:
            return self.jobs.begin(action.verb, logs.follow, read_only=True)
        return await logs.read(seconds)

    @does(swarm.CreateService)
    async def create_service(self, action: swarm.CreateService, seconds: float) -> Outcome:
        began = time.monotonic()
        answer = await self.doors.ask(
            action.verb, "POST", "/services/create", seconds, body=service_spec.service(action)
        )
        made = models.decode(models.RAW, answer.body)
        return _done(began, str(made.get("ID") or ""))

    @does(swarm.RemoveService)
    async def remove_service(self, action: swarm.RemoveService, seconds: float) -> Outcome:
        began = time.monotonic()
        await self._about(action.target, action.verb, "DELETE", f"/services/{_id(action.target)}", seconds)
        return _done(began)

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> JobStarted:
        ask, wanted, timeout = functools.partial(self.doors.ask, action.verb), action.replicas, float(action.timeout)
        return self._begin(action.verb, lambda job: rollouts.scale(ask, action.target, wanted, timeout, job))

    @does(swarm.UpdateImage)
    async def update_image(self, action: swarm.UpdateImage, seconds: float) -> JobStarted:
        ask, timeout = functools.partial(self.doors.ask, action.verb), float(action.timeout)
        return self._begin(
            action.verb, lambda job: rollouts.update_image(ask, action.target, action.image, timeout, job)
        )

    @does(swarm.RollBack)
    async def roll_back(self, action: swarm.RollBack, seconds: float) -> JobStarted:
        ask, timeout = functools.partial(self.doors.ask, action.verb), float(action.timeout)
        return self._begin(action.verb, lambda job: rollouts.roll_back(ask, action.target, timeout, job))

    def _begin(self, verb: str, work: Callable[[Job], Any]) -> JobStarted:
        return self.jobs.begin(verb, work)

    async def _services(self, verb: str, seconds: float) -> list[Service]:
        answer, tasks = await asyncio.gather(
            self.doors.ask(verb, "GET", "/services", seconds), self._tasks(verb, seconds)
        )
        by_service: dict[str, list[models.Task]] = {}
        for task in tasks:
            by_service.setdefault(task.service, []).append(task)
        found = models.decode(models.RAWS, answer.body)
        rows = [decode.service(self.ref, raw, by_service.get(raw.get("ID") or "", ())) for raw in found]
        return sorted(rows, key=lambda row: row.ref.name)

    # ── tasks and nodes ──────────────────────────────────────────────────────────────────────────────────────────

    @does(swarm.ListTasks)
    async def list_tasks(self, action: swarm.ListTasks, seconds: float) -> swarm.Tasks:
        answer, tasks, nodes = await asyncio.gather(
            self.doors.ask(action.verb, "GET", "/services", seconds),
            self._tasks(action.verb, seconds, service=action.service),
            self._nodes(action.verb, seconds),
        )
        services = {raw.get("ID"): raw for raw in models.decode(models.RAWS, answer.body)}
        names = {node.id: node.name for node in nodes}
        rows = [
            decode.task(self.ref, task, services.get(task.service), names.get(task.node, task.node[:12]))
            for task in tasks
            if action.ended or task.status.state not in models.OVER
        ]
        return swarm.Tasks(rows=tuple(sorted(rows, key=lambda row: (row.service, row.ref.name, -row.at))))

    @does(swarm.ListNodes)
    async def list_nodes(self, action: swarm.ListNodes, seconds: float) -> swarm.Nodes:
        nodes, tasks = await asyncio.gather(self._nodes(action.verb, seconds), self._tasks(action.verb, seconds))
        running = Counter(task.node for task in tasks if task.status.state == "running" and task.desired == "running")
        rows = [decode.node(self.ref, node, running[node.id]) for node in nodes]
        return swarm.Nodes(rows=tuple(sorted(rows, key=lambda row: (row.ref.name, row.ref.id))))

    @does(swarm.InspectNode)
    async def inspect_node(self, action: swarm.InspectNode, seconds: float) -> Document:
        body = await self._about(action.target, action.verb, "GET", f"/nodes/{_id(action.target)}", seconds)
        return Document(ref=action.target, data=redact_json.mask_env_values(models.decode(models.RAW, body)))

    @does(swarm.DrainNode)
    async def drain_node(self, action: swarm.DrainNode, seconds: float) -> Outcome:
        return await self._avail(action, "drain", seconds)

    @does(swarm.ActivateNode)
    async def activate_node(self, action: swarm.ActivateNode, seconds: float) -> Outcome:
        return await self._avail(action, "active", seconds)

    async def _avail(self, action: actions.TargetAction[Outcome], word: str, seconds: float) -> Outcome:
        began, place = time.monotonic(), f"/nodes/{_id(action.target)}"
        for attempt in (1, 2):
            left = seconds - (time.monotonic() - began)
            raw = models.decode(models.RAW, await self._about(action.target, action.verb, "GET", place, left / 2))
            spec: dict[str, Any] = raw["Spec"]
            if spec.get("Availability") == word:
                return Outcome(status=Status.NOOP, detail=f"was {word} already", took=time.monotonic() - began)
            path = f"{place}/update?version={raw['Version']['Index']}"
            left = seconds - (time.monotonic() - began)
            try:
                body = {**spec, "Availability": word}
                await self._about(action.target, action.verb, "POST", path, left, body=body)
            except errors.Rejected as error:
                if rollouts.OUT_OF_SEQUENCE not in error.text or attempt == 2:
                    raise
                continue
            return _done(began)
        raise AssertionError("two attempts end in an answer or an error")

    async def _nodes(self, verb: str, seconds: float) -> list[models.Node]:
        return models.decode(models.NODES, (await self.doors.ask(verb, "GET", "/nodes", seconds)).body)

    async def _tasks(self, verb: str, seconds: float, *, service: str = "") -> list[models.Task]:
        filters = urllib.parse.quote(msgspec.json.encode({"service": [service]}).decode()) if service else ""
        path = f"/tasks?filters={filters}" if filters else "/tasks"
        return models.decode(models.TASKS, (await self.doors.ask(verb, "GET", path, seconds)).body)

    async def _about(
        self, target: Ref, verb: str, method: str, path: str, seconds: float, *, body: Any = None
    ) -> bytes:
        try:
            return (await self.doors.ask(verb, method, path, seconds, body=body)).body
        except errors.NotFound:
            raise errors.NotFound(f"{target.name} is gone: {self.ref} has no such {target.kind}.") from None


def _counted(nodes: Sequence[models.Node]) -> list[str]:
    managers = [node for node in nodes if node.manager is not None]
    told = [f"{len(nodes)} node{'' if len(nodes) == 1 else 's'}, {len(managers)} of them managers."]
    away = [f"{node.name} is {node.status.state}" for node in nodes if node.status.state != "ready"]
    away += [f"{node.name} is set to {node.spec.availability}" for node in nodes if node.spec.availability != "active"]
    if away:
        told.append(f"{', '.join(away[:8])}{f' and {len(away) - 8} more' if len(away) > 8 else ''}.")
    gone = [node.name for node in managers if node.manager is not None and node.manager.reachability == "unreachable"]
    if gone and len(managers) - len(gone) <= len(managers) // 2 + 1:
        told.append(
            f"The manager{'s' if len(gone) > 1 else ''} {', '.join(gone)} cannot be reached: one more, and the"
            " Swarm has no leader."
        )
    return told


def _done(began: float, detail: str = "") -> Outcome:
    return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)


def _id(ref: Ref) -> str:
    return urllib.parse.quote(ref.id, safe="")
