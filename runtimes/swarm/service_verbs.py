"""Serves the verbs that list, inspect, create, change and remove the services of a Swarm."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from core import errors
from core.model import actions, service_actions, swarm
from core.model.background_jobs import JobStarted
from core.model.host_access import MountPoint
from core.model.refs import EngineRef, Ref
from core.model.replies import Status
from core.model.results import Document, LogPage, Outcome
from core.model.services import Service, Services
from core.model.verification import VerifyRuns
from core.name_matching import selection
from core.text import redact_json
from runtimes.base import base_adapter
from runtimes.base.base_adapter import does
from runtimes.formats import json_decoder
from runtimes.swarm import (
    decode,
    json_models,
    rollouts,
    secrets_and_configs,
    service_host_access,
    service_jobs,
    service_summary,
    service_updates,
    service_volumes,
    task_verification,
)
from runtimes.swarm import logs as swarm_logs
from runtimes.swarm.manager_pool import Manager
from runtimes.swarm.secrets_and_configs import SecretAndConfigVerbs

NETWORK_SECONDS = 3.0  # to read the networks of all services
REST_SECONDS = 1.0  # of the time for a list, after its networks were read


class ServiceVerbs(SecretAndConfigVerbs):
    """Serves the service verbs of one Swarm. `daemons` returns all Docker daemons of this process."""

    def __init__(self, ref: EngineRef) -> None:
        super().__init__(ref)
        self.daemons: Callable[[], Sequence[Manager]] = lambda: self.managers.all
        self._networks = service_host_access.KnownNetworks()

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        return Services(rows=tuple(await self._services(action.verb, seconds)))

    @does(swarm.InspectService)
    async def inspect_service(self, action: swarm.InspectService, seconds: float) -> Document:
        answer = await self._ask_target(action.target, action.verb, "GET", f"/services/{_id(action.target)}", seconds)
        data = redact_json.mask_env_values(json_decoder.decode_json_object(answer))
        pretty: dict[str, str] = {}
        # A summary that cannot be made must not hide the document.
        with contextlib.suppress(errors.InvalidResponse), json_decoder.reading(action.target.name):
            pretty = service_summary.make_summary_fields(data)
        return Document(ref=action.target, data=data, summary=pretty)

    @does(swarm.ReadServiceLogs)
    async def read_service_logs(self, action: swarm.ReadServiceLogs, seconds: float) -> LogPage | JobStarted:
        logs = swarm_logs.ServiceLogs(self.managers, action)
        if action.follow:
            return self.jobs.start(action.verb, logs.follow, read_only=True)
        return await logs.read(seconds)

    @does(service_actions.CreateService)
    async def create_service(self, action: service_actions.CreateService, seconds: float) -> JobStarted:
        await self._check_volumes(action, action.settings.mounts, seconds)
        send, call = self._sender(action), base_adapter.current_call()
        label = call.id if call is not None else ""
        return self.jobs.start(
            action.verb, lambda job: service_jobs.create_service(send, action, label, self._networks, job)
        )

    @does(service_actions.UpdateService)
    async def update_service(self, action: service_actions.UpdateService, seconds: float) -> JobStarted:
        await self._check_volumes(action, action.settings.mounts, seconds)
        send = self._sender(action)
        return self.jobs.start(action.verb, lambda job: service_jobs.update(send, action, self._networks, job))

    @does(service_actions.RollBackService)
    async def roll_back(self, action: service_actions.RollBackService, seconds: float) -> JobStarted:
        send = self._sender(action)
        check = service_jobs.roll_back_check(send, action.target, action.reaches, self._networks)
        return self.jobs.start(action.verb, lambda job: rollouts.roll_back(send, action, job, check))

    @does(service_actions.RemoveService)
    async def remove_service(self, action: service_actions.RemoveService, seconds: float) -> Outcome:
        began = time.monotonic()
        await self._ask_target(action.target, action.verb, "DELETE", f"/services/{_id(action.target)}", seconds)
        return Outcome(status=Status.DONE, took=time.monotonic() - began)

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> JobStarted:
        send, wanted, timeout = self._sender(action), action.replicas, float(action.timeout)
        removable = action.removable()
        may_shrink = removable is None or action.target.id in removable
        return self.jobs.start(
            action.verb, lambda job: rollouts.scale(send, action.target, wanted, timeout, job, may_shrink=may_shrink)
        )

    @does(VerifyRuns)
    async def verify_tasks(self, action: VerifyRuns, seconds: float) -> JobStarted:
        send = functools.partial(self.managers.ask, actions.Scale.verb)
        return self.jobs.start(
            action.verb, lambda job: task_verification.watch_tasks(send, action, job), read_only=True, light=True
        )

    # ── what they are made of ────────────────────────────────────────────────────────────────────────────────────

    async def _check_volumes(self, action: actions.Action[Any], mounts: Sequence[MountPoint], seconds: float) -> None:
        if any(mount.source and not mount.is_host_path for mount in mounts):
            nodes = await self._nodes(action.verb, seconds)
            reaches = any(each.verb == "host.reach" for each in action.needs())
            await service_volumes.refuse_forbidden_volumes(self.daemons(), nodes, mounts, reaches=reaches)

    def _sender(self, action: actions.Action[Any]) -> service_updates.SendRequest:
        needs = [each.verb for each in action.needs()]
        return functools.partial(self.managers.ask, action.verb, needs=needs)

    async def _services(self, verb: str, seconds: float) -> list[Service]:
        ends = time.monotonic() + seconds
        answer, tasks = await asyncio.gather(
            self.managers.ask(verb, "GET", "/services", seconds), self._tasks(verb, seconds)
        )
        by_service: dict[str, list[json_models.Task]] = {}
        for task in tasks:
            by_service.setdefault(task.service, []).append(task)
        found = await json_decoder.decode_all_rows(json_models.Service, answer.body, self.skipped)
        reaches = await self._reaches(verb, answer.body, ends - time.monotonic() - REST_SECONDS)
        rows = [decode.service(self.ref, raw, by_service.get(raw.id, ())) for raw in found]
        rows = [msgspec.structs.replace(row, **reaches.get(row.ref.id, {})) for row in rows]
        return sorted(rows, key=lambda row: row.ref.name)

    async def _reaches(self, verb: str, body: bytes, seconds: float) -> dict[str, dict[str, tuple[Any, ...]]]:
        """Returns what each service, by id, and its earlier version take from their hosts, and which secrets and
        configs it has. A network that cannot be read within the time is left out: it is read again before a change."""
        rows = await json_decoder.decode_all_rows(json_models.ServiceVersions, body)
        targets: list[str] = []
        for spec in (spec for row in rows for spec in (row.spec, row.previous)):
            with contextlib.suppress(errors.InvalidResponse), json_decoder.reading("A service"):
                targets += service_host_access.networks_of(spec or {})
        send = functools.partial(self.managers.ask, verb)
        networks = await self._networks.find_in(send, targets, min(seconds, NETWORK_SECONDS))
        found: dict[str, dict[str, tuple[Any, ...]]] = {}
        for row in rows:
            versions = found.setdefault(row.id, {})
            for field, spec in (("reaches", row.spec), ("earlier_reaches", row.previous)):
                with contextlib.suppress(errors.InvalidResponse), json_decoder.reading("A service"):
                    versions[field] = service_host_access.known_reaches(spec or {}, networks)
            with contextlib.suppress(errors.InvalidResponse), json_decoder.reading("A service"):
                versions["values"] = secrets_and_configs.values_of_spec(self.ref, row.spec or {})
        return found

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
                hint=selection.list_hint(target.kind),
            ) from None


def _id(ref: Ref) -> str:
    return urllib.parse.quote(ref.id, safe="")
