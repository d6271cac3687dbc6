"""An engine that speaks CRI v1 behind the port: CRI-O, or containerd as the kubelet sees it.

What containers and pods are here the kubelet decides: what is stopped it starts anew, as another container, and what is
removed it makes again. CRI has no restart, no pause and no signals; `nearest` says what comes next to them. Engines of
CRI take whatever is asked of what is not there for done, so each change looks first. Logs are files, read here.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from core import errors
from core.model import actions, usage
from core.model.containers import Container, Containers
from core.model.engines import Engine
from core.model.events import Event
from core.model.jobs import JobStarted
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Document, ExecResult, LogPage, Outcome
from runtimes.base.adapter import does
from runtimes.base.engine import DEFAULTS
from runtimes.base.jobs import KEPT_LINES, Job
from runtimes.base.options import EngineOptions
from runtimes.cri import alternatives, client, decode, log_files
from runtimes.cri import events as cri_events
from runtimes.cri import stats as cri_stats
from runtimes.cri.client import done
from runtimes.cri.images import ImageVerbs
from runtimes.proto import cri_pb2 as cri

LOOK_AT_LOG = 0.2  # seconds between two looks at a followed log
LOOK_AT_STATE = 1.0  # seconds between two looks at whether its container still runs
MOST_OUTPUT = 65_536
EXEC_TIMED_OUT = b"command timed out"


class Cri(ImageVerbs):
    """One engine at its socket. `engine_id` is made of its word for itself, its host and socket: CRI tells none."""

    alternatives: ClassVar[Mapping[str, str]] = alternatives.SENTENCES

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._meter = cri_stats.Meter()
        self._fills: bool | None = None  # CRI-O's stream of events; not known before it was tried

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        return Containers(rows=(await self._look(seconds)).rows())

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """None where it is gone. `deadline`: seconds for all of them."""
        view = await self._look(deadline)
        return {thing: view.row(one) if (one := view.containers.get(thing)) else None for thing in ids}

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        told = Engine(ref=self.ref, address=str(self._line.endpoint), verbs=tuple(sorted(self.verbs)))
        try:
            await self._identify(seconds)
            status, view, stream = await asyncio.gather(
                self._ask("Status", cri.StatusRequest(verbose=True), cri.StatusResponse, seconds),
                self._look(seconds),
                self._has_stream(),
            )
        except errors.EngineError as error:
            return msgspec.structs.replace(told, fault=error.full_message())
        return msgspec.structs.replace(
            told,
            version=self.version,
            api=self.api,
            system=f"{platform.system().lower()}/{platform.machine()}",
            cgroup=_cgroup_version(),
            containers=len(view.containers),
            running=sum(one.state == decode.RUNNING for one in view.containers.values()),
            events="broadcast" if stream else "polled",
            notes=decode.notes(status.status),
            **decode.parts(status),
        )

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        version, status = await asyncio.gather(
            self._ask("Version", cri.VersionRequest(), cri.VersionResponse, seconds),
            self._ask("Status", cri.StatusRequest(verbose=True), cri.StatusResponse, seconds),
        )
        ref = action.targets()[0]
        data = decode.document(version, {}) | decode.document(status, status.info)
        try:
            config = await self._ask("RuntimeConfig", cri.RuntimeConfigRequest(), cri.RuntimeConfigResponse, seconds)
        except errors.Unsupported:  # older than Kubernetes 1.28
            return Document(ref=ref, data=data)
        driver = decode.CGROUP_DRIVERS.get(config.linux.cgroup_driver, str(config.linux.cgroup_driver))
        return Document(ref=ref, data={**data, "cgroup_driver": driver})

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        told = await self._told(action.target, seconds, verbose=True)
        return Document(ref=action.target, data=decode.document(told.status, told.info))

    @does(actions.ListEvents)
    async def list_events(self, action: actions.ListEvents, seconds: float) -> tuple[Event, ...]:
        """No engine of CRI remembers events: what is still there tells of itself."""
        view = await self._look(seconds)
        return tuple(cri_events.stories(view, action.since_ns)[-action.limit :])

    @does(usage.ReadUsage)
    async def read_usage(self, action: usage.ReadUsage, seconds: float) -> usage.Usages:
        stats, view = await asyncio.gather(self._stats(seconds), self._look(seconds))
        if self._meter.begin(view, stats.stats):  # there is none to compare with
            await asyncio.sleep(cri_stats.SHORTEST / 1e9)
            stats = await self._stats(seconds)
        return self._meter.read(view, stats.stats, action.only)

    async def _stats(self, seconds: float) -> cri.ListContainerStatsResponse:
        """Of all containers in one answer."""
        told: cri.ListContainerStatsResponse = await self._ask(
            "ListContainerStats", cri.ListContainerStatsRequest(), cri.ListContainerStatsResponse, seconds
        )
        return told

    # ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ReadLogs)
    async def read_logs(self, action: actions.ReadLogs, seconds: float) -> LogPage | JobStarted:
        if action.follow:
            return self.jobs.begin(action.verb, lambda job: self._follow(action, job), read_only=True)
        until = time.monotonic() + seconds
        status = (await self._told(action.target, seconds)).status
        if status.state == decode.CREATED:
            return LogPage(lines=(), cursor=action.cursor)
        asked: dict[str, Any] = {"tail": action.tail, "since_ns": action.since_ns, "cursor": action.cursor}
        return await asyncio.to_thread(log_files.page, status.log_path, action.target.name, until=until, **asked)

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        name = action.target.name
        status = (await self._told(action.target, 10.0)).status
        while status.state == decode.CREATED:  # it has no log before it runs
            await asyncio.sleep(LOOK_AT_STATE)
            status = (await self._told(action.target, 10.0)).status
        log = await asyncio.to_thread(
            log_files.Follower, status.log_path, name, tail=action.tail, keep=KEPT_LINES, since_ns=action.since_ns
        )
        ended = ""
        try:
            looked = 0.0
            while True:
                lines, dropped = await asyncio.to_thread(log.more)
                job.say(lines, dropped)
                if lines:
                    continue
                if ended:
                    job.say(log.rest())
                    return Outcome(status=Status.DONE, detail=ended)
                if time.monotonic() - looked >= LOOK_AT_STATE:
                    looked, ended = time.monotonic(), await self._why_ended(action.target)
                # An engine writes the last lines about when it says that the container has ended.
                await asyncio.sleep(LOOK_AT_LOG)
        finally:
            log.close()

    async def _why_ended(self, target: Ref) -> str:
        """Why nothing more comes of a followed log; empty while its container runs."""
        try:
            status = (await self._told(target, 10.0)).status
        except errors.NotFound:
            return f"{target.name} was removed"
        except (errors.Unreachable, errors.TimedOut) as error:
            raise errors.Unreachable(
                f"{self.ref} broke off the log of {target.name}: {error.message}", hint=error.hint
            ) from error
        return "" if status.state == decode.RUNNING else f"{target.name} has ended with code {status.exit_code}"

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        await self._identify(10.0, again=True)
        stream = None
        if self.engine_name == client.CRIO:
            stream, self._fills = cri_events.Stream(self._line, f"{self.ref}: events"), None
        try:
            async for batch in cri_events.told(self._look, stream, since_ns, self._learned):
                yield batch
        finally:
            if stream is not None:
                await stream.aclose()

    def _learned(self, fills: bool) -> None:
        self._fills = fills

    async def _has_stream(self) -> bool:
        if self.engine_name != client.CRIO:
            return False
        if self._fills is None:
            self._fills = await cri_events.broadcasts(self._line)
        return self._fills

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        status = (await self._told(target, seconds)).status
        if status.state == decode.RUNNING:
            return done(began, time.monotonic(), "was already running", noop=True)
        if status.state != decode.CREATED:
            raise errors.Rejected(
                9, f"{target.name} has ended, and CRI starts no container twice: the kubelet makes another one."
            )
        request = cri.StartContainerRequest(container_id=target.id)
        left = seconds - (time.monotonic() - began)
        await self._ask("StartContainer", request, cri.Nothing, left, about=target.name)
        return done(began, time.monotonic())

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        status = (await self._told(target, seconds)).status
        if status.state in (decode.CREATED, decode.EXITED):
            return done(began, time.monotonic(), "was not running", noop=True)
        request = cri.StopContainerRequest(container_id=target.id, timeout=action.timeout)
        left = seconds - (time.monotonic() - began)
        await self._ask("StopContainer", request, cri.Nothing, left, about=target.name)
        return done(began, time.monotonic(), client.kept_up(status.labels))

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        status = (await self._told(target, seconds)).status
        if status.state not in (decode.CREATED, decode.EXITED) and not action.force:
            raise errors.Rejected(9, f"{target.name} is running: stop it first, or force its removal.")
        request = cri.RemoveContainerRequest(container_id=target.id)
        left = seconds - (time.monotonic() - began)
        await self._ask("RemoveContainer", request, cri.Nothing, left, about=target.name)
        return done(began, time.monotonic(), client.kept_up(status.labels))

    @does(actions.Exec)
    async def exec(self, action: actions.Exec, seconds: float) -> ExecResult:
        began, target = time.monotonic(), action.target
        if action.user:
            raise errors.BadUsage(
                "CRI runs programs as the user of their container.",
                hint="Leave --user out, or use `su` in the container.",
            )
        request = cri.ExecSyncRequest(container_id=target.id, cmd=action.command, timeout=action.timeout)
        try:
            told = await self._ask("ExecSync", request, cri.ExecSyncResponse, seconds, about=target.name)
        except errors.TimedOut as error:
            if time.monotonic() - began < action.timeout:
                raise
            raise self._exec_timed_out(action) from error
        # containerd answers that its deadline was exceeded, CRI-O that all went well.
        if told.exit_code == -1 and EXEC_TIMED_OUT in told.stderr:
            raise self._exec_timed_out(action)
        stdout, stderr = told.stdout[:MOST_OUTPUT], told.stderr[:MOST_OUTPUT]
        return ExecResult(
            exit_code=told.exit_code,
            stdout=stdout.decode("utf-8", "replace"),
            stderr=stderr.decode("utf-8", "replace"),
            cut=len(told.stdout) + len(told.stderr) - len(stdout) - len(stderr),
            took=time.monotonic() - began,
        )

    def _exec_timed_out(self, action: actions.Exec) -> errors.TimedOut:
        return errors.TimedOut(
            f"{action.command[0]} in {action.target.name} did not end within {action.timeout} s.",
            sent=True,
            hint="The engine was told to kill it; what it had begun may be half done.",
        )

    async def _told(self, target: Ref, seconds: float, *, verbose: bool = False) -> cri.ContainerStatusResponse:
        request = cri.ContainerStatusRequest(container_id=target.id, verbose=verbose)
        told: cri.ContainerStatusResponse = await self._ask(
            "ContainerStatus", request, cri.ContainerStatusResponse, seconds, about=target.name
        )
        return told


def _cgroup_version() -> str:
    # CRI tells who drives cgroups, not which they are; an engine at a unix socket has our kernel.
    return "2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1"
