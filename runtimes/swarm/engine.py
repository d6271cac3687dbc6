"""Serves all verbs of one Swarm: lists and changes its services, tasks, nodes and stacks through any manager.

A Swarm lists no containers: they belong to the engines of the nodes. A job runs in this process, not in the Swarm. The
job only waits for the change that the Swarm makes by itself, so the change continues if the job is stopped.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import ClassVar

import msgspec

from core import errors
from core.model import actions, event_actions, swarm
from core.model.containers import Container
from core.model.engines import Engine
from core.model.events import Event, EventList
from core.model.refs import EngineRef, Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.model.swarm_status import SwarmState
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.base.jobs import ALLOWED_VERBS
from runtimes.formats import json_decoder
from runtimes.swarm import (
    decode,
    error_messages,
    json_models,
    node_notes,
    node_summary,
    service_updates,
    spec_conflicts,
    unsupported_verbs,
)
from runtimes.swarm.manager_pool import Manager, ManagerPool
from runtimes.swarm.service_verbs import ServiceVerbs
from runtimes.swarm.watcher import SwarmWatcher


class Swarm(ServiceVerbs):
    """Runs actions on one Swarm. `engine_id` is the Swarm's own id."""

    alternatives: ClassVar[Mapping[str, str]] = unsupported_verbs.ALTERNATIVES

    def __init__(self, ref: EngineRef, cluster: str, *, on_refused: Callable[[Manager], None]) -> None:
        super().__init__(ref)
        self._cluster = cluster
        self.managers = ManagerPool(lambda: self.ref, on_refused)
        self._watcher = SwarmWatcher(self.managers, ref, self.skipped)

    @property
    def engine_id(self) -> str:
        return self._cluster

    def swarm_state(self) -> SwarmState | None:
        return self._watcher.described()

    def _allows(self, verb: str) -> bool:
        # Only the managers have lists of what is allowed.
        return verb in ALLOWED_VERBS or self.managers.permit(verb)

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        return dict.fromkeys(ids)

    # ── the whole Swarm ──────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        managers = self.managers.all
        described = Engine(
            ref=self.ref,
            address=", ".join(manager.address for manager in managers),
            verbs=tuple(sorted(self.verbs)),
            events="polled",
        )
        try:
            nodes = await self._nodes(action.verb, seconds)
        except errors.QuarterdeckError as error:
            return msgspec.structs.replace(described, fault=error.full_message())
        leader = next((node for node in nodes if node.manager is not None and node.manager.leader), None)
        platform = leader.description.platform if leader is not None else None
        return msgspec.structs.replace(
            described,
            version=leader.description.engine.version if leader is not None else "",
            api=managers[0].api if managers else "",
            system=f"{platform.system}/{platform.architecture}" if platform is not None else "",
            notes=tuple(node_notes.describe_nodes(nodes)),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        answer = await self.managers.ask(action.verb, "GET", "/swarm", seconds)
        data = json_decoder.decode_json_object(answer.body)
        data.pop("JoinTokens", None)
        ref = action.targets()[0]
        return Document(ref=ref, data=redact_json.mask_env_values(data))

    @does(event_actions.ListEvents)
    async def list_events(self, action: event_actions.ListEvents, seconds: float) -> EventList:
        return await self._watcher.list_events(action, seconds)

    def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        return self._watcher.events(since_ns)

    @does(swarm.ReadJoinToken)
    async def read_join_token(self, action: swarm.ReadJoinToken, seconds: float) -> swarm.Token:
        _check_role(action.role)
        nodes, answer = await asyncio.gather(
            self._nodes(action.verb, seconds), self.managers.ask(action.verb, "GET", "/swarm", seconds)
        )
        tokens = json_decoder.decode_json(json_models.Cluster, answer.body).tokens
        managers = [node.manager for node in nodes if node.manager is not None and node.manager.address]
        if not managers:
            raise errors.EngineError(
                f"{self.ref} reported no address of a manager.",
                hint="Give the command again, or run `docker node ls` on a manager.",
            )
        managers.sort(key=lambda manager: not manager.leader)
        token = tokens.manager if action.role == "manager" else tokens.worker
        return swarm.Token(role=action.role, line=f"docker swarm join --token {token} {managers[0].address}")

    @does(swarm.RotateJoinToken)
    async def rotate_join_token(self, action: swarm.RotateJoinToken, seconds: float) -> Outcome:
        began, name = time.monotonic(), str(self.ref)
        _check_role(action.role)
        option = "rotateManagerToken" if action.role == "manager" else "rotateWorkerToken"
        for _ in range(service_updates.MAX_ATTEMPTS):
            left = seconds - (time.monotonic() - began)
            answer = await self.managers.ask(action.verb, "GET", "/swarm", left / 2)
            raw = json_decoder.decode_json(json_models.NodeDocument, answer.body)
            update = f"/swarm/update?version={raw.version.index}&{option}=true"
            left = seconds - (time.monotonic() - began)
            try:
                await self.managers.ask(action.verb, "POST", update, left, body=raw.spec)
            except errors.Rejected as error:
                if not error_messages.is_out_of_sequence(error.text):
                    raise
                continue
            return _done(began, f"show the new one with: swarm join-token {action.role}")
        raise spec_conflicts.conflict(name, "swarm info")

    # ── stacks ───────────────────────────────────────────────────────────────────────────────────────────────────

    @does(swarm.ListStacks)
    async def list_stacks(self, action: swarm.ListStacks, seconds: float) -> swarm.Stacks:
        label = urllib.parse.quote(msgspec.json.encode({"label": [decode.STACK]}).decode())
        kinds = ("networks", "secrets", "configs")
        rows, parts = await asyncio.gather(
            self._services(action.verb, seconds),
            asyncio.gather(
                *(self.managers.ask(action.verb, "GET", f"/{kind}?filters={label}", seconds) for kind in kinds)
            ),
        )
        more = {
            kind: await json_decoder.decode_all_rows(json_models.StackPart, part.body, self.skipped)
            for kind, part in zip(kinds, parts, strict=True)
        }
        return swarm.Stacks(rows=tuple(decode.stacks(rows, more)))

    # ── tasks and nodes ──────────────────────────────────────────────────────────────────────────────────────────

    @does(swarm.ListTasks)
    async def list_tasks(self, action: swarm.ListTasks, seconds: float) -> swarm.Tasks:
        answer, tasks, nodes = await asyncio.gather(
            self.managers.ask(action.verb, "GET", "/services", seconds),
            self._tasks(action.verb, seconds, service=action.service),
            self._nodes(action.verb, seconds),
        )
        found = await json_decoder.decode_all_rows(json_models.Service, answer.body, self.skipped)
        services = {raw.id: raw for raw in found}
        names = {node.id: node.name for node in nodes}
        rows = [
            decode.task(self.ref, task, services.get(task.service), names.get(task.node, task.node[:12]), self.skipped)
            for task in tasks
            if task.is_wanted(node=action.node, ended=action.ended)
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
        body = await self._ask_target(action.target, action.verb, "GET", f"/nodes/{_id(action.target)}", seconds)
        data = redact_json.mask_env_values(json_decoder.decode_json_object(body))
        return Document(ref=action.target, data=data, summary=node_summary.make_summary_fields(data))

    @does(swarm.DrainNode)
    async def drain_node(self, action: swarm.DrainNode, seconds: float) -> Outcome:
        return await self._set_availability(action, "drain", seconds)

    @does(swarm.ActivateNode)
    async def activate_node(self, action: swarm.ActivateNode, seconds: float) -> Outcome:
        return await self._set_availability(action, "active", seconds)

    async def _set_availability(self, action: actions.TargetAction[Outcome], word: str, seconds: float) -> Outcome:
        began, path = time.monotonic(), f"/nodes/{_id(action.target)}"
        for _ in range(service_updates.MAX_ATTEMPTS):
            left = seconds - (time.monotonic() - began)
            body = await self._ask_target(action.target, action.verb, "GET", path, left / 2)
            raw = json_decoder.decode_json(json_models.NodeDocument, body)
            if raw.spec.get("Availability") == word:
                return Outcome(status=Status.NOOP, detail=f"was {word} already", took=time.monotonic() - began)
            update = f"{path}/update?version={raw.version.index}"
            left = seconds - (time.monotonic() - began)
            try:
                changed = {**raw.spec, "Availability": word}
                await self._ask_target(action.target, action.verb, "POST", update, left, body=changed)
            except errors.Rejected as error:
                if not error_messages.is_out_of_sequence(error.text):
                    raise
                continue
            return _done(began)
        raise spec_conflicts.conflict(action.target.name, f"node inspect {action.target.name}")


def _check_role(role: str) -> None:
    if role not in ("worker", "manager"):
        raise errors.BadUsage(f"“{role}” is not a role of a Swarm node.", hint="Use worker or manager.")


def _done(began: float, detail: str = "") -> Outcome:
    return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)


def _id(ref: Ref) -> str:
    return urllib.parse.quote(ref.id, safe="")
