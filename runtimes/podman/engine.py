"""The Podman engine behind the port, root's or one ordinary user's: libpod's API in, our values out.

The class is put together of its subjects: how it is asked (`podman_asking`), its events (`podman_events`), logs
(`podman_logs`), programs run in its containers (`podman_exec`), images (`podman_images`), pods, networks and volumes
(`podman_parts`), systemd's units (`podman_units`); here are its containers and itself. Its dialect ends in
`podman_dialect`. Environment values are hidden before an inspection leaves here.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from core import errors
from core.model import actions, usage
from core.model.containers import Container, Containers
from core.model.engines import Engine
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.model.services import Services
from core.text import redact_json
from runtimes.base.adapter import does
from runtimes.base.engine import DEFAULTS
from runtimes.base.options import EngineOptions
from runtimes.compose import services
from runtimes.podman import decode, events, exec, images, logs, models, resources, stats, units
from runtimes.podman.client import quoted

DESCRIBE_AT_ONCE = 8
BETWEEN = 0.5  # seconds between two readings
LONGEST_RESULT = 400  # characters of a health check's output
UNLIMITED = "Rootless on cgroup v1: its containers have no limits and no statistics, and cannot be paused."
NO_SWARM = "Podman has no Swarm: docker compose or podman-compose, pods and units are what it has."


class Podman(
    events.EventVerbs,
    logs.LogVerbs,
    exec.ExecVerbs,
    images.ImageVerbs,
    resources.ResourceVerbs,
    units.UnitVerbs,
):
    """One service. `name` tells the engines of several users apart; for rootless ones it is the uid."""

    alternatives: ClassVar[Mapping[str, str]] = {
        "service.scale": "Scale it where its compose file is: podman-compose up --scale, or docker compose up --scale.",
        "namespace.list": "Its containers share one namespace: ps lists them, pods groups them.",
        **dict.fromkeys(
            (
                "service.inspect", "service.logs", "service.create", "service.update", "service.rollback",
                "service.remove", "node.list", "node.inspect", "node.drain", "node.activate", "task.list",
                "stack.list", "swarm.init", "swarm.token",
            ),
            NO_SWARM,
        ),
    }  # fmt: skip

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._meter = stats.Meter()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        return Containers(rows=await self._listed(seconds))

    async def _listed(self, seconds: float) -> tuple[Container, ...]:
        answer = await self._ask("GET", "/containers/json?all=true", seconds)
        return self._dialect.listed(answer.body, time.time())

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        return Services(rows=tuple(services.compose_services(self.ref, await self._listed(seconds))))

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        target = action.target
        answer = await self._ask("GET", f"/containers/{quoted(target)}/json", seconds, about=target.name)
        data: dict[str, Any] = decode.document(answer.body)
        redact_json.mask_env_values(data)
        return Document(ref=target, data=data)

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        """Inspects each id, a few at once; None where it is gone. `deadline`: seconds for all of them."""
        gate = asyncio.Semaphore(DESCRIBE_AT_ONCE)

        async def one(container: str) -> tuple[str, Container | None]:
            async with gate:
                try:
                    answer = await self._ask("GET", f"/containers/{urllib.parse.quote(container)}/json", deadline)
                except errors.NotFound:
                    return container, None
                return container, self._dialect.inspected(answer.body)

        async with asyncio.timeout(deadline):
            return dict(await asyncio.gather(*(one(container) for container in ids)))

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        told = Engine(ref=self.ref, address=str(self._http.endpoint), verbs=tuple(sorted(self.verbs)))
        try:
            info = await self._meet(seconds, again=True)
            notes = await self._notes(info, seconds / 2)
        except errors.EngineError as error:
            return msgspec.structs.replace(told, fault=error.full_message())
        return msgspec.structs.replace(
            told,
            ref=self.ref,
            version=info.version.number,
            api=info.version.api,
            system=f"{info.host.os}/{info.host.arch}",
            storage=info.store.driver,
            cgroup=info.host.cgroup.removeprefix("v"),
            containers=info.store.containers.number,
            running=info.store.containers.running,
            runtime=_runtime(info.host.runtime),
            events=await self._events_come(info, seconds),
            user=self.user(),
            notes=notes,
        )

    async def _events_come(self, info: models.Info, seconds: float) -> str:
        """Podman's own word for its backend; `file by API` where that file cannot be read from here."""
        if info.host.events == "file" and not (self.local and await self.event_file(seconds) is not None):
            return "file by API"
        return info.host.events

    async def _notes(self, info: models.Info, seconds: float) -> tuple[str, ...]:
        notes = [] if info.limits else [UNLIMITED]
        if info.host.events == events.NONE:
            notes.append(f"It {events.NO_EVENTS} {events.NO_EVENTS_CURE}")
        elif info.host.events == "file" and self.local and await self.event_file(seconds) is None:
            places = " or ".join(map(str, self.event_places()))
            notes.append(f"Its event file cannot be read at {places}: events come by its API, up to 0.3 s late.")
        return tuple(notes)

    @does(actions.ShowInfo)
    async def show_info(self, action: actions.ShowInfo, seconds: float) -> Document:
        answer = await self._ask("GET", "/info", seconds)
        engine = Ref(engine=self.ref, kind=Kind.ENGINE, id=str(self.ref), name=str(self.ref))
        return Document(ref=engine, data=decode.document(answer.body))

    @does(usage.ReadUsage)
    async def read_usage(self, action: usage.ReadUsage, seconds: float) -> usage.Usages:
        info = await self._meet(seconds)
        if not info.limits:
            return usage.Usages(rows=(), missing=UNLIMITED)
        running = {row.ref.id: row.ref for row in await self._listed(seconds) if row.state == "running"}
        wanted = [ref for thing, ref in running.items() if not action.only or thing in action.only]
        if not wanted:
            return usage.Usages(rows=())
        found = {ref.id: ref for ref in wanted}
        if not self._meter.knows(found):
            # Use of the processor is what came between two readings.
            self._meter.rows(await self._stats(wanted, seconds), found, info.host.memory)
            await asyncio.sleep(BETWEEN)
        rows = self._meter.rows(await self._stats(wanted, seconds), found, info.host.memory)
        gone = len(wanted) - len(rows)
        return usage.Usages(rows=rows, missing=f"{gone} ended while they were asked." if gone else "")

    async def _stats(self, wanted: Sequence[Ref], seconds: float) -> bytes:
        ask = "&".join(f"containers={quoted(ref)}" for ref in wanted)
        try:
            return (await self._ask("GET", f"/containers/stats?stream=false&{ask}", seconds)).body
        except errors.NotFound:
            # One of them was removed meanwhile; without names all that are there are told.
            return (await self._ask("GET", "/containers/stats?stream=false", seconds)).body

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        return await self._change(action.target, "start", seconds, already="was already running")

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        return await self._change(action.target, f"stop?timeout={action.timeout}", seconds, already="was not running")

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Outcome:
        return await self._change(action.target, f"restart?t={action.timeout}", seconds)

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        return await self._change(action.target, f"kill?signal={urllib.parse.quote(action.signal)}", seconds)

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        await self._refuse_pause(action.verb, seconds)
        return await self._change(action.target, "pause", seconds, already="was already paused")

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        return await self._change(action.target, "unpause", seconds, already="was not paused")

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        began = time.monotonic()
        # An engine told to force stops politely first, unless it is given no time for that.
        given = {"force": action.force, "v": action.volumes, **({"timeout": 0} if action.force else {})}
        ask = "&".join(f"{key}={str(value).lower()}" for key, value in given.items())
        target = action.target
        answer = await self._ask("DELETE", f"/containers/{quoted(target)}?{ask}", seconds, about=target.name)
        resources.refuse_inner(answer.body)
        return Outcome(status=Status.DONE, took=time.monotonic() - began)

    @does(actions.CheckHealth)
    async def check_health(self, action: actions.CheckHealth, seconds: float) -> Outcome:
        began, target = time.monotonic(), action.target
        try:
            answer = await self._ask("GET", f"/containers/{quoted(target)}/healthcheck", seconds, about=target.name)
        except errors.Rejected as error:
            if "no defined healthcheck" in error.text:
                raise errors.UserError(
                    f"{target.name} has no health check.", hint="Give it one when it is made: --health-cmd."
                ) from error
            raise
        told = decode.document(answer.body)
        log = told.get("Log") or [{}]
        said = str(log[-1].get("Output") or "").strip()[:LONGEST_RESULT]
        detail = str(told.get("Status", "")) + (f": {said}" if said else "")
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    async def _change(self, target: Ref, path: str, seconds: float, *, already: str = "") -> Outcome:
        began = time.monotonic()
        try:
            answer = await self._ask("POST", f"/containers/{quoted(target)}/{path}", seconds, about=target.name)
        except errors.Rejected as error:
            # Some refusals only say that there was nothing to do: "… is already paused", "… is not paused, can't …".
            if already and already.removeprefix("was ") in error.text:
                return Outcome(status=Status.NOOP, detail=already, took=time.monotonic() - began)
            raise
        status = Status.NOOP if answer.status == 304 else Status.DONE
        return Outcome(status=status, detail=already if status is Status.NOOP else "", took=time.monotonic() - began)


def _runtime(told: models.OciRuntime) -> str:
    """`runc 1.1.5` of “runc version 1.1.5+ds1” and more lines."""
    words = told.version.partition("\n")[0].split()
    return f"{told.name} {words[2]}" if words[1:2] == ["version"] and len(words) > 2 else told.name
