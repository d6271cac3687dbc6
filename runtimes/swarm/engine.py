"""Serves all verbs of one Swarm: lists and changes its services, tasks, nodes and stacks through any manager.

A Swarm lists no containers: they belong to the engines of the nodes. A job runs in this process, not in the Swarm. The
job only waits for the change that the Swarm makes by itself, so the change continues if the job is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from core import errors
from core.model import actions, event_actions, swarm
from core.model.containers import Container
from core.model.engines import Engine
from core.model.events import Event, EventList
from core.model.jobs import JobStarted
from core.model.refs import EngineRef, Ref
from core.model.replies import Status
from core.model.results import Document, LogPage, Outcome
from core.model.services import Service, Services
from core.model.swarm_status import SwarmState
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.base.jobs import JOB_VERBS
from runtimes.formats import json_decoder
from runtimes.swarm import (
    decode,
    json_models,
    new_service_spec,
    node_notes,
    node_summary,
    rollouts,
    service_host_access,
    service_requests,
    service_summary,
)
from runtimes.swarm import logs as swarm_logs
from runtimes.swarm.manager_pool import Manager, ManagerPool
from runtimes.swarm.secrets_and_configs import SecretAndConfigVerbs
from runtimes.swarm.watcher import SwarmWatcher

KIND = "swarm"
NODES_OWN = "Containers belong to the engine of their node; service ps lists the tasks with their nodes."


class Swarm(SecretAndConfigVerbs):
    """Runs actions on one Swarm. `engine_id` is the Swarm's own id."""

    alternatives: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("container.list", "container.create", "container.restart"), NODES_OWN),
        "container.logs": "It can read the logs of all tasks of a service together: service.logs.",
        "container.stop": "It can scale the service to fewer replicas: service.scale.",
        "stats.read": NODES_OWN,
    }

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
        return verb in JOB_VERBS or self.managers.permit(verb)

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
        if action.role not in ("worker", "manager"):
            raise errors.BadUsage(f"“{action.role}” is not a role of a Swarm node.", hint="Use worker or manager.")
        nodes, answer = await asyncio.gather(
            self._nodes(action.verb, seconds), self.managers.ask(action.verb, "GET", "/swarm", seconds)
        )
        tokens = json_decoder.decode_json(json_models.Cluster, answer.body).tokens
        managers = [node.manager for node in nodes if node.manager is not None and node.manager.address]
        if not managers:
            raise errors.EngineError(
                f"{self.ref} did not report the address of any manager.",
                hint="Try again, or run `docker node ls` on a manager.",
            )
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
                *(self.managers.ask(action.verb, "GET", f"/{kind}?filters={label}", seconds) for kind in kinds)
            ),
        )
        more = {
            kind: await json_decoder.decode_all_rows(json_models.StackPart, part.body, self.skipped)
            for kind, part in zip(kinds, parts, strict=True)
        }
        return swarm.Stacks(rows=tuple(decode.stacks(rows, more)))

    @does(swarm.InspectService)
    async def inspect_service(self, action: swarm.InspectService, seconds: float) -> Document:
        answer = await self._ask_target(action.target, action.verb, "GET", f"/services/{_id(action.target)}", seconds)
        data = redact_json.mask_env_values(json_decoder.decode_json_object(answer))
        pretty: dict[str, str] = {}
        # A summary that cannot be made must not hide the document.
        with contextlib.suppress(errors.InvalidResponse), json_decoder.reading(action.target.name):
            pretty = service_summary.summarise(data)
        return Document(ref=action.target, data=data, summary=pretty)

    @does(swarm.ReadServiceLogs)
    async def read_service_logs(self, action: swarm.ReadServiceLogs, seconds: float) -> LogPage | JobStarted:
        logs = swarm_logs.ServiceLogs(self.managers, action)
        if action.follow:
            return self.jobs.start(action.verb, logs.follow, read_only=True)
        return await logs.read(seconds)

    @does(swarm.CreateService)
    async def create_service(self, action: swarm.CreateService, seconds: float) -> Outcome:
        began, send = time.monotonic(), self._sender(action)
        await service_host_access.check_create(send, action)
        spec = new_service_spec.build_service_spec(action)
        answer = await send("POST", "/services/create", seconds, body=spec, image=action.image)
        made = json_decoder.decode_json_object(answer.body)
        return _done(began, str(made.get("ID") or ""))

    @does(swarm.RemoveService)
    async def remove_service(self, action: swarm.RemoveService, seconds: float) -> Outcome:
        began = time.monotonic()
        await self._ask_target(action.target, action.verb, "DELETE", f"/services/{_id(action.target)}", seconds)
        return _done(began)

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> JobStarted:
        send, wanted, timeout = self._sender(action), action.replicas, float(action.timeout)
        removable = action.removable()
        may_shrink = removable is None or action.target.id in removable
        return self.jobs.start(
            action.verb, lambda job: rollouts.scale(send, action.target, wanted, timeout, job, may_shrink=may_shrink)
        )

    @does(swarm.UpdateImage)
    async def update_image(self, action: swarm.UpdateImage, seconds: float) -> JobStarted:
        send, timeout = self._sender(action), float(action.timeout)
        return self.jobs.start(action.verb, lambda job: service_host_access.update_image(send, action, timeout, job))

    @does(swarm.RollBack)
    async def roll_back(self, action: swarm.RollBack, seconds: float) -> JobStarted:
        send, timeout = self._sender(action), float(action.timeout)
        return self.jobs.start(action.verb, lambda job: rollouts.roll_back(send, action.target, timeout, job))

    def _sender(self, action: actions.Action[Any]) -> service_requests.SendRequest:
        needs = [each.verb for each in action.needs()]
        return functools.partial(self.managers.ask, action.verb, needs=needs)

    async def _services(self, verb: str, seconds: float) -> list[Service]:
        answer, tasks = await asyncio.gather(
            self.managers.ask(verb, "GET", "/services", seconds), self._tasks(verb, seconds)
        )
        by_service: dict[str, list[json_models.Task]] = {}
        for task in tasks:
            by_service.setdefault(task.service, []).append(task)
        found = await json_decoder.decode_all_rows(json_models.Service, answer.body, self.skipped)
        rows = [decode.service(self.ref, raw, by_service.get(raw.id, ())) for raw in found]
        return sorted(rows, key=lambda row: row.ref.name)

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
        return Document(ref=action.target, data=data, summary=node_summary.summarise(data))

    @does(swarm.DrainNode)
    async def drain_node(self, action: swarm.DrainNode, seconds: float) -> Outcome:
        return await self._set_availability(action, "drain", seconds)

    @does(swarm.ActivateNode)
    async def activate_node(self, action: swarm.ActivateNode, seconds: float) -> Outcome:
        return await self._set_availability(action, "active", seconds)

    async def _set_availability(self, action: actions.TargetAction[Outcome], word: str, seconds: float) -> Outcome:
        began, path = time.monotonic(), f"/nodes/{_id(action.target)}"
        for attempt in (1, 2):
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
                if service_requests.OUT_OF_SEQUENCE not in error.text or attempt == 2:
                    raise
                continue
            return _done(began)
        raise AssertionError("the second attempt returns or raises")

    async def _nodes(self, verb: str, seconds: float) -> list[json_models.Node]:
        body = (await self.managers.ask(verb, "GET", "/nodes", seconds)).body
        return await json_decoder.decode_all_rows(json_models.Node, body, self.skipped)

    async def _tasks(self, verb: str, seconds: float, *, service: str = "") -> list[json_models.Task]:
        filters = urllib.parse.quote(msgspec.json.encode({"service": [service]}).decode()) if service else ""
        path = f"/tasks?filters={filters}" if filters else "/tasks"
        body = (await self.managers.ask(verb, "GET", path, seconds)).body
        return await json_decoder.decode_all_rows(json_models.Task, body, self.skipped)

    async def _ask_target(
        self, target: Ref, verb: str, method: str, path: str, seconds: float, *, body: Any = None
    ) -> bytes:
        try:
            return (await self.managers.ask(verb, method, path, seconds, body=body)).body
        except errors.NotFound:
            raise errors.NotFound(
                f"{self.ref} has no {target.kind} {target.name}.",
                hint=f"List the {target.kind}s, and give the command again.",
            ) from None


def _done(began: float, detail: str = "") -> Outcome:
    return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)


def _id(ref: Ref) -> str:
    return urllib.parse.quote(ref.id, safe="")
