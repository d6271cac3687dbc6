"""An engine that lives in memory, for tests and examples: the same port, the same answers, and levers to break it.

Actions change its containers and tell events as Docker would; `reachable`, `cut`, `untold` and `slow` make it fail as
real ones do. Its memory of events is a ring of 256, like Docker's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from core import errors
from core.model import actions, containers
from core.model.background_jobs import JobStarted
from core.model.containers import Container, Containers
from core.model.engines import Engine
from core.model.events import EventKind
from core.model.project_actions import RestartProject
from core.model.refs import Ref
from core.model.rename_and_update import RenameContainer, UpdateContainer
from core.model.replies import Status
from core.model.results import Document, LogPage, Outcome
from core.model.services import Services
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job
from runtimes.compose import project_restart, services
from runtimes.docker_like import inspected_host_access
from runtimes.formats import status_text
from tests.fake_engine import services as fake_engine_services
from tests.fake_engine.container_files import ContainerFiles
from tests.fake_engine.core import RING
from tests.fake_engine.creation import Creation
from tests.fake_engine.inside import Inside
from tests.fake_engine.networks_and_volumes import NetworksAndVolumes
from tests.fake_engine.pods import Pods
from tests.fake_engine.registries import Registries
from tests.fake_engine.service_changes import ServiceChanges
from tests.fake_engine.swarm import Cluster
from tests.fake_engine.units import Units
from tests.fake_engine.unused import UnusedThings


class FakeRuntime(
    Creation,
    ContainerFiles,
    Registries,
    Pods,
    Cluster,
    ServiceChanges,
    Units,
    NetworksAndVolumes,
    UnusedThings,
    Inside,
):
    """All its parts, and what is done to containers and services."""

    alternatives: ClassVar[Mapping[str, str]] = {
        "pod.list": "Its containers are listed by: ps",
        "node.list": "It is alone, and described by: engines",
    }

    # ── the port ─────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        told = Engine(ref=self.ref, address=f"fake://{self.ref.host}", verbs=tuple(sorted(self.verbs)))
        try:
            await self._answer("info", seconds)
        except errors.EngineError as error:
            return msgspec.structs.replace(told, fault=error.full_message())
        up = sum(row.state == "running" for row in self.containers.values())
        return msgspec.structs.replace(
            told,
            version="1.0",
            api="1.0",
            system="linux/x86_64",
            storage="memory",
            cgroup="2",
            runtime="runfake 1.0",
            events=f"ring of {RING}",
            containers=len(self.containers),
            running=up,
        )

    @does(RestartProject)
    async def restart_project(self, action: RestartProject, seconds: float) -> JobStarted:
        await self._answer("change", seconds)
        return self.jobs.start(action.verb, lambda job: project_restart.restart_project(self, action, job))

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        await self._answer("list", seconds)
        now = self._now()
        return Containers(rows=tuple(_listed(row, now) for row in self.containers.values()))

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        await self._answer("inspect", seconds)
        row = self._find(action.target)
        state = {
            "Status": row.state,
            "Running": row.state == "running",
            "ExitCode": row.exit_code or 0,
            "StartedAt": datetime.fromtimestamp(row.started_at or 0, UTC).isoformat(),
        }
        data = {
            "Id": row.ref.id,
            "Name": f"/{row.ref.name}",
            "State": state,
            "Mounts": self.mounts.get(row.ref.id, []),
            "Config": {"Image": row.image, "Labels": row.labels},
            "HostConfig": self.host_configs.get(row.ref.id, {}),
            "NetworkSettings": {"Networks": {name: {} for one, name in sorted(self.joined) if one == row.ref.name}},
        }
        labels = "\n".join(f"{key}={value}" for key, value in row.labels.items())
        summary = {"State": row.state, "Image": row.image, **({"Labels": labels} if labels else {})}
        return Document(
            ref=row.ref, data=data, summary=summary, reaches=inspected_host_access.find_host_access_of_container(data)
        )

    @does(actions.ReadLogs)
    async def read_logs(self, action: actions.ReadLogs, seconds: float) -> LogPage | JobStarted:
        await self._answer("logs", seconds)
        self._find(action.target)
        if action.follow:
            return self.jobs.start(action.verb, lambda job: self._follow(action, job), read_only=True)
        start = action.cursor or f"{action.since_ns:020d}"
        end = f"{action.until_ns:020d}" if action.until_ns else "9"
        lines = [line for line in self.logs[action.target.id] if start < line.at <= end]
        kept = lines[max(0, len(lines) - action.tail) :]
        return LogPage(lines=tuple(kept), cursor=kept[-1].at if kept else action.cursor)

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        """Ends when the container does not run, as a daemon's."""
        name, thing = action.target.name, action.target.id
        said = self.logs[thing]
        last = [line for line in said if line.at > f"{action.since_ns:020d}"]
        job.add_lines(last[max(0, len(last) - action.tail) :])
        at = len(said)
        while True:
            moved = self._moved
            job.add_lines(said[at:])
            at = len(said)
            if not self.reachable:
                raise errors.Unreachable(
                    f"The log of {name} ended early: {self.ref} closed the connection.",
                    hint="Check whether the engine is still running.",
                )
            row = self.containers.get(thing)
            if row is None:
                return Outcome(status=Status.DONE, detail=f"{name} was removed")
            if row.state not in containers.LIVE_STATES:
                return Outcome(status=Status.DONE, detail=f"{name} has ended with code {row.exit_code or 0}")
            await moved.wait()

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        return await self._change(
            action.target, seconds, ("running", "paused"), "was already running", (EventKind.STARTED,)
        )

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        steps = (EventKind.KILLED, EventKind.DIED, EventKind.STOPPED)
        return await self._change(action.target, seconds, ("created", "exited", "dead"), "was not running", steps)

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Outcome:
        up = self._find(action.target).state in containers.LIVE_STATES
        ended = (EventKind.DIED,) if up else ()
        return await self._change(action.target, seconds, (), "", (*ended, EventKind.STARTED, EventKind.RESTARTED))

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        row = self._find(action.target)
        if row.state not in containers.LIVE_STATES:
            raise errors.Rejected(409, f"container {row.ref.name} is not running")
        deadly = action.signal.removeprefix("SIG") in ("KILL", "9", "TERM", "15")
        steps = (EventKind.KILLED, EventKind.DIED) if deadly else (EventKind.KILLED,)
        return await self._change(row.ref, seconds, (), "", steps)

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        return await self._change(action.target, seconds, ("paused",), "was already paused", (EventKind.PAUSED,))

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        return await self._change(action.target, seconds, ("running",), "was not paused", (EventKind.UNPAUSED,))

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        row = self._find(action.target)
        if row.state not in containers.LIVE_STATES:
            return await self._change(row.ref, seconds, (), "", (EventKind.REMOVED,))
        if not action.force:
            raise errors.Rejected(409, f"container {row.ref.name} is running: stop it first or force its removal")
        return await self._change(row.ref, seconds, (), "", (EventKind.KILLED, EventKind.DIED, EventKind.REMOVED))

    @does(RenameContainer)
    async def rename(self, action: RenameContainer, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._find(action.target)
        if any(other.ref.name == action.name for other in self.containers.values()):
            raise errors.Rejected(409, f"the name {action.name} is already in use")
        named = msgspec.structs.replace(row.ref, name=action.name)
        self.containers[named.id] = msgspec.structs.replace(row, ref=named)
        self.happen(EventKind.RENAMED, named, old_name=row.ref.name)
        return Outcome(status=Status.DONE, detail=f"to {action.name}")

    @does(UpdateContainer)
    async def update(self, action: UpdateContainer, seconds: float) -> Outcome:
        await self._answer("change", seconds)
        row = self._find(action.target)
        self.host_configs.setdefault(row.ref.id, {}).update(Memory=action.memory, RestartPolicy=action.restart)
        self.happen(EventKind.UPDATED, row.ref)
        return Outcome(status=Status.DONE, detail=action.description())

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        await self._answer("services", seconds)
        return Services(rows=(*services.group_compose_services(self.ref, self.containers.values()), *self.swarm))

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> JobStarted:
        await self._answer("change", seconds)
        work = fake_engine_services.scaling(self, action)
        return self.jobs.start(action.verb, work)

    async def aclose(self) -> None:
        await super().aclose()
        self.cut()

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, target: Ref, seconds: float, idle: Sequence[str], already: str, steps: Sequence[EventKind]
    ) -> Outcome:
        await self._answer("change", seconds)
        row = self._find(target)
        if row.state in idle:
            return Outcome(status=Status.NOOP, detail=already)
        for kind in steps:
            self.happen(kind, row.ref, **({"exit_code": "143"} if kind is EventKind.DIED else {}))
        return Outcome(status=Status.DONE)


def _listed(row: Container, now: float) -> Container:
    """A list knows less than an inspection."""
    return msgspec.structs.replace(
        row,
        status=status_text.format_status(row, now),
        started_at=None,
        finished_at=None,
        restarts=None,
        oom_killed=None,
    )
