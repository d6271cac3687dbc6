"""The Swarm of the engine in memory: nodes and tasks as somebody put them there; a drained node is empty at once."""

from __future__ import annotations

from typing import Any

import msgspec

from core import errors
from core.model import swarm
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Document, LogLine, LogPage, Outcome
from core.model.secrets_and_configs import ListConfigs, ListSecrets, StoredValue, StoredValues
from runtimes.base.base_adapter import does
from tests.fake_engine.core import FakeEngine

OVER = ("complete", "failed", "rejected", "shutdown", "orphaned", "remove")


class Cluster(FakeEngine):
    """`nodes` and `tasks` in the order they came. `never_updated`: the names of services without an earlier version."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.nodes: dict[str, swarm.Node] = {}
        self.tasks: list[swarm.Task] = []
        self.never_updated: set[str] = set()
        self.stored: dict[Kind, list[StoredValue]] = {Kind.SECRET: [], Kind.CONFIG: []}

    def add_node(self, name: str, **more: Any) -> Ref:
        self._made += 1
        ref = Ref(engine=self.ref, kind=Kind.NODE, id=f"node{self._made:021d}", name=name)
        told = {"state": "ready", "availability": "active", "role": "worker", "address": f"10.0.0.{self._made}", **more}
        self.nodes[ref.id] = swarm.Node(ref=ref, **told)
        return ref

    def add_task(self, service: str, node: Ref, *, slot: int = 1, state: str = "running", **more: Any) -> Ref:
        self._made += 1
        ref = Ref(engine=self.ref, kind=Kind.TASK, id=f"task{self._made:021d}", name=f"{service}.{slot}")
        told = {"service_id": service, "desired": "running", "at": self._now(), **more}
        self.tasks.append(swarm.Task(ref=ref, service=service, state=state, node=node.name, **told))
        return ref

    @does(swarm.ListNodes)
    async def list_nodes(self, action: swarm.ListNodes, seconds: float) -> swarm.Nodes:
        await self._answer("nodes", seconds)
        return swarm.Nodes(rows=tuple(self._with_tasks(row) for row in self.nodes.values()))

    @does(swarm.InspectNode)
    async def inspect_node(self, action: swarm.InspectNode, seconds: float) -> Document:
        await self._answer("inspect", seconds)
        row = self._node(action.target)
        spec = {"Availability": row.availability, "Role": row.role, "Labels": dict(row.labels)}
        return Document(ref=row.ref, data={"ID": row.ref.id, "Spec": spec, "Status": {"State": row.state}})

    @does(ListSecrets)
    async def list_secrets(self, action: ListSecrets, seconds: float) -> StoredValues:
        await self._answer("secrets", seconds)
        return StoredValues(rows=tuple(self.stored[Kind.SECRET]))

    @does(ListConfigs)
    async def list_configs(self, action: ListConfigs, seconds: float) -> StoredValues:
        await self._answer("configs", seconds)
        return StoredValues(rows=tuple(self.stored[Kind.CONFIG]))

    def add_stored(self, kind: Kind, name: str, **more: Any) -> Ref:
        self._made += 1
        ref = Ref(engine=self.ref, kind=kind, id=f"{kind}{self._made:019d}", name=name)
        self.stored[kind].append(StoredValue(ref=ref, created_at=self._now(), **more))
        return ref

    @does(swarm.InspectService)
    async def inspect_service(self, action: swarm.InspectService, seconds: float) -> Document:
        await self._answer("inspect", seconds)
        row = next((row for row in self.swarm if row.ref == action.target), None)
        if row is None:
            raise errors.NotFound(f"The Swarm has no service {action.target.name}.", hint="List them with: services")
        spec = {"Name": row.ref.name, "Labels": dict(row.labels[0])}
        data = {
            "ID": row.ref.id,
            "Spec": spec,
            **({} if row.ref.name in self.never_updated else {"PreviousSpec": spec}),
        }
        return Document(ref=row.ref, data=data, summary={"Mode": row.mode, "Image": row.image})

    @does(swarm.ReadServiceLogs)
    async def read_service_logs(self, action: swarm.ReadServiceLogs, seconds: float) -> LogPage:
        await self._answer("logs", seconds)
        line = LogLine(at="2026-01-02T03:04:05Z", stream="stdout", text=f"{action.target.name}.1 | is up")
        return LogPage(lines=(line,)[-action.tail :])

    @does(swarm.DrainNode)
    async def drain_node(self, action: swarm.DrainNode, seconds: float) -> Outcome:
        outcome = await self._turn(action.target, "drain", seconds)
        if outcome.status == Status.DONE:
            self._move_tasks(action.target.name)
        return outcome

    @does(swarm.ActivateNode)
    async def activate_node(self, action: swarm.ActivateNode, seconds: float) -> Outcome:
        return await self._turn(action.target, "active", seconds)

    @does(swarm.ListTasks)
    async def list_tasks(self, action: swarm.ListTasks, seconds: float) -> swarm.Tasks:
        await self._answer("tasks", seconds)
        rows = [task for task in self.tasks if not action.service or task.service_id == action.service]
        node = self.nodes[action.node].ref.name if action.node else ""
        rows = [row for row in rows if node in ("", row.node)]
        return swarm.Tasks(rows=tuple(row for row in rows if action.ended or row.state not in OVER))

    @does(swarm.ListStacks)
    async def list_stacks(self, action: swarm.ListStacks, seconds: float) -> swarm.Stacks:
        await self._answer("stacks", seconds)
        names = dict.fromkeys(row.project for row in self.swarm if row.project)
        return swarm.Stacks(rows=tuple(self._stack(name) for name in names if name))

    async def _turn(self, target: Ref, availability: str, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._node(target)
        if row.availability == availability:
            return Outcome(status=Status.NOOP, detail=f"was {availability} already")
        self.nodes[row.ref.id] = msgspec.structs.replace(row, availability=availability)
        return Outcome(status=Status.DONE)

    def _move_tasks(self, node: str) -> None:
        """Each leaves its record, and another runs on the first node that takes any; without one it is pending."""
        able = [row.ref for row in self.nodes.values() if (row.state, row.availability) == ("ready", "active")]
        for at, task in enumerate(self.tasks):
            if task.node != node or task.state in OVER:
                continue
            self.tasks[at] = msgspec.structs.replace(task, state="shutdown", desired="shutdown", at=self._now())
            self._made += 1
            ref = msgspec.structs.replace(task.ref, id=f"task{self._made:021d}")
            state, where = ("running", able[0].name) if able else ("pending", "")
            self.tasks.append(msgspec.structs.replace(task, ref=ref, state=state, node=where, at=self._now()))

    def _node(self, target: Ref) -> swarm.Node:
        row = self.nodes.get(target.id)
        if row is None:
            raise errors.NotFound(f"{self.ref} has no node {target.name}.", hint="List all nodes with: nodes")
        return row

    def _with_tasks(self, row: swarm.Node) -> swarm.Node:
        tasks = sum(task.node == row.ref.name and task.state == "running" for task in self.tasks)
        return msgspec.structs.replace(row, tasks=tasks)

    def _stack(self, name: str) -> swarm.Stack:
        rows = [row for row in self.swarm if row.project == name]
        return swarm.Stack(
            name=name,
            services=tuple(row.ref for row in rows),
            labels=tuple(labels for row in rows for labels in row.labels),
            running=sum(row.running for row in rows),
            desired=sum(row.desired or 0 for row in rows),
        )
