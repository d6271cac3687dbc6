"""A Swarm as one of its managers tells of it: services and tasks in, a service's number of replicas out.

The same daemon as its containers, so there is no engine of its own: a daemon becomes a manager, or stops being one,
while we run, and a service is named by the manager's host. Tasks have no events and are looked at again and again. An
update carries the version it was made from; one that came too late changed nothing and is sent once more.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from core import errors
from core.model.refs import EngineRef, Ref
from core.model.replies import Status
from core.model.things import Outcome, Service
from runtimes import swarm_dialect
from runtimes.docker_services import Ask
from runtimes.jobs import Job

T = TypeVar("T")
OUT_OF_SEQUENCE = "out of sequence"
POLL = 0.5  # seconds between looks at the tasks
STEADY = 3.0  # seconds they all have to run
SECOND_TRY = 2  # failed tasks of one place after which waiting on is no use
LAST_LOOK = 10.0  # seconds
_TASKS = msgspec.json.Decoder(list[swarm_dialect.Task])
_SERVICE = msgspec.json.Decoder(dict[str, Any])
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

    async def node(self, seconds: float) -> swarm_dialect.Node:
        answer = await self._ask("GET", "/info", seconds)
        try:
            return msgspec.json.decode(answer.body, type=swarm_dialect.Info).swarm
        except msgspec.DecodeError as error:
            raise errors.Garbled(f"{self._engine()} told of itself what cannot be understood.") from error

    async def services(self, seconds: float) -> list[Service]:
        answer = await self._ask("GET", "/services", seconds)
        tasks = await self._tasks(seconds)
        by_service: dict[str, list[swarm_dialect.Task]] = {}
        for task in tasks:
            by_service.setdefault(task.service, []).append(task)
        found = _decode(_SERVICES, answer.body)
        return sorted(
            (swarm_dialect.service(self._engine(), raw, by_service.get(raw["ID"], ())) for raw in found),
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
            was = swarm_dialect.replicas(target, raw)
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
        failing = swarm_dialect.failing(follow.target, tasks)
        return (
            Status.NOOP,
            f"was asked to have {follow.wanted} already; {running} run{swarm_dialect.why(tasks, failing)}",
        )

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
            failing = swarm_dialect.failing(target, [task for task in tasks if task.id not in follow.known])
            if len(running) == wanted and all(task.desired == "running" for task in running):
                steady = steady or time.monotonic()
                if wanted == 0 or time.monotonic() - steady >= STEADY:
                    return Status.DONE, f"from {follow.was} to {wanted}{await self._update_told(target)}"
            else:
                steady = 0.0
            so_far = f"{len(running)} of {wanted} run"
            job.progress(f"{so_far}{f'; {failing[1]}' if failing else ''}")
            if failing and failing[0] >= SECOND_TRY:
                cure = f"The Swarm goes on trying; to end that: scale {target.name}={follow.was}"
                return Status.FAILED, f"{so_far}; {failing[1]}. {cure}"
            if late:
                told = await self._update_told(target)
                return Status.FAILED, f"{so_far} after {follow.seconds:.0f} s{swarm_dialect.why(tasks, failing)}{told}"
            await asyncio.sleep(POLL)

    async def _update_told(self, target: Ref) -> str:
        state = swarm_dialect.update(await self._inspect(target))
        return f"; {state}" if state else ""

    async def _inspect(self, target: Ref) -> dict[str, Any]:
        answer = await self._manage("GET", f"/services/{_id(target)}", target)
        return _decode(_SERVICE, answer)

    async def _tasks(self, seconds: float, target: Ref | None = None) -> list[swarm_dialect.Task]:
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
            raise swarm_dialect.no_manager(self._engine(), node, target) from error


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise errors.Garbled("The Swarm answered something that is not what we expect.") from error


def _id(ref: Ref) -> str:
    return urllib.parse.quote(ref.id, safe="")
