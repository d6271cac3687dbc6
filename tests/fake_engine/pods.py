"""The pods of the engine in memory: what happens to a pod happens to its containers, and those make up its state."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from core import errors
from core.model import containers, pods
from core.model.containers import Container
from core.model.events import EventKind
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from runtimes.base.base_adapter import does
from tests.fake_engine.core import FakeEngine

STOPPING = (EventKind.KILLED, EventKind.DIED, EventKind.STOPPED)


class Pods(FakeEngine):
    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._pods: dict[str, pods.Pod] = {}

    def add_pod(
        self, name: str, *members: Ref, labels: dict[str, str] | None = None, namespace: str = "", address: str = ""
    ) -> Ref:
        self._made += 1
        thing = hashlib.sha256(f"{self.engine_id}/pod/{self._made}".encode()).hexdigest()
        ref = Ref(engine=self.ref, kind=Kind.POD, id=thing, name=name)
        self._pods[thing] = pods.Pod(
            ref=ref,
            state="created",
            created_at=self._now(),
            labels=labels or {},
            members=tuple(member.id for member in members),
            namespace=namespace,
            address=address,
        )
        return ref

    @does(pods.ListPods)
    async def list_pods(self, action: pods.ListPods, seconds: float) -> pods.Pods:
        await self._answer("pods", seconds)
        return pods.Pods(rows=tuple(map(self._pod, self._pods)))

    @does(pods.InspectPod)
    async def inspect_pod(self, action: pods.InspectPod, seconds: float) -> Document:
        await self._answer("inspect", seconds)
        row = self._pod(self._there(action.target))
        return Document(ref=row.ref, data={"Id": row.ref.id, "Name": row.ref.name, "State": row.state})

    @does(pods.CreatePod)
    async def create_pod(self, action: pods.CreatePod, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        if any(pod.ref.name == action.name for pod in self._pods.values()):
            raise errors.Rejected(409, f"the name {action.name} is already in use")
        ref = self.add_pod(action.name, labels=dict(action.labels))
        return Outcome(status=Status.DONE, detail=ref.id[:12])

    @does(pods.StartPod)
    async def start_pod(self, action: pods.StartPod, seconds: float) -> Outcome:
        return await self._each(
            action.target, seconds, ("created", "exited"), (EventKind.STARTED,), "was running already"
        )

    @does(pods.StopPod)
    async def stop_pod(self, action: pods.StopPod, seconds: float) -> Outcome:
        return await self._each(action.target, seconds, containers.LIVE_STATES, STOPPING, "was not running")

    @does(pods.RestartPod)
    async def restart_pod(self, action: pods.RestartPod, seconds: float) -> Outcome:
        await self._each(action.target, seconds, containers.LIVE_STATES, STOPPING, "")
        await self._each(action.target, seconds, ("created", "exited"), (EventKind.STARTED,), "")
        return Outcome(status=Status.DONE)

    @does(pods.PausePod)
    async def pause_pod(self, action: pods.PausePod, seconds: float) -> Outcome:
        return await self._each(action.target, seconds, ("running",), (EventKind.PAUSED,), "was not running")

    @does(pods.UnpausePod)
    async def unpause_pod(self, action: pods.UnpausePod, seconds: float) -> Outcome:
        return await self._each(action.target, seconds, ("paused",), (EventKind.UNPAUSED,), "was not paused")

    @does(pods.RemovePod)
    async def remove_pod(self, action: pods.RemovePod, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        thing = self._there(action.target)
        if not action.force and any(row.state in containers.LIVE_STATES for row in self._members(thing)):
            raise errors.Rejected(409, f"pod {action.target.name} has running containers: stop it or force its removal")
        for row in self._members(thing):
            ended = STOPPING if row.state in containers.LIVE_STATES else ()
            self._all(row, (*ended, EventKind.REMOVED))
        del self._pods[thing]
        return Outcome(status=Status.DONE)

    async def _each(
        self, target: Ref, seconds: float, which: Sequence[str], steps: Sequence[EventKind], already: str
    ) -> Outcome:
        """These steps for each of its containers that is in one of these states."""
        await self._answer("change", seconds)
        rows = [row for row in self._members(self._there(target)) if row.state in which]
        for row in rows:
            self._all(row, steps)
        return Outcome(status=Status.DONE) if rows else Outcome(status=Status.NOOP, detail=already)

    def _all(self, row: Container, steps: Sequence[EventKind]) -> None:
        for kind in steps:
            self.happen(kind, row.ref, **({"exit_code": "143"} if kind is EventKind.DIED else {}))

    def _there(self, target: Ref) -> str:
        if target.id not in self._pods:
            raise errors.NotFound(f"{self.ref} has no pod {target.name}.", hint="List all pods with: pods")
        return target.id

    def _members(self, thing: str) -> list[Container]:
        return [self.containers[member] for member in self._pods[thing].members if member in self.containers]

    def _pod(self, thing: str) -> pods.Pod:
        states = [row.state for row in self._members(thing)]
        running = sum(state in containers.LIVE_STATES for state in states)
        state = "running" if states and running == len(states) else "degraded" if running else "exited"
        if states and set(states) == {"paused"}:
            state = "paused"
        if set(states) <= {"created"}:
            state = "created"
        members = tuple(row.ref.id for row in self._members(thing))
        return msgspec.structs.replace(self._pods[thing], state=state, members=members, running=running)
