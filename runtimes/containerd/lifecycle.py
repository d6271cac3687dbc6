"""Changes to one container of containerd, each a few calls in order: looked at first, changed, waited for.

The engine's own client does these sequences itself; here they go step by step, and `Steps` keeps what a lost answer
means: nothing was done before the first change left, and afterwards nobody knows.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TypeVar

from core import errors
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.containerd import decode
from runtimes.containerd.client import Calls, Container, Process
from runtimes.formats import signals
from runtimes.proto import containerd_task_types_pb2, containerd_tasks_pb2

R = TypeVar("R")
STOP_SIGNAL_LABEL = "io.containerd.image.config.stop-signal"
# containerd's own monitor starts what carries the first again, unless the second is set.
RESTART_LABEL, STOPPED_LABEL = "containerd.io/restart.status", "containerd.io/restart.explicitly-stopped"
KILL = 9
NOT_NOW = 9  # gRPC's FAILED_PRECONDITION
_Status = containerd_task_types_pb2.Status


class Steps:
    """The steps of one change, all within one deadline."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._began = time.monotonic()
        self.changed = False

    @property
    def left(self) -> float:
        return max(0.05, self._ends - time.monotonic())

    async def look(self, asking: Awaitable[R]) -> R:
        try:
            return await asking
        except (errors.Unreachable, errors.TimedOut, errors.InvalidResponse) as error:
            error.sent = self.changed
            raise

    async def change(self, asking: Awaitable[R]) -> R:
        try:
            done = await asking
        except errors.InvalidResponse as error:
            error.sent = True  # it was an answer
            raise
        except (errors.Unreachable, errors.TimedOut) as error:
            error.sent = error.sent or self.changed
            raise
        self.changed = True
        return done

    def done(self, detail: str = "") -> Outcome:
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - self._began)

    def nothing(self, detail: str) -> Outcome:
        return Outcome(status=Status.NOOP, detail=detail, took=time.monotonic() - self._began)


class Change:
    """One change to `target`, and the calls it is made of."""

    def __init__(self, calls: Calls, target: Ref, seconds: float) -> None:
        self._calls = calls
        self._target = target
        self._space, self._id = decode.split(target.id)
        self.steps = Steps(seconds)

    async def start(self) -> Outcome:
        held = await self._held()
        self._refuse_others("started")
        task = await self._task()
        if task is not None and task.status in (_Status.RUNNING, _Status.PAUSING):
            return self.steps.nothing("was already running")
        if task is not None and task.status == _Status.PAUSED:
            raise errors.Rejected(NOT_NOW, f"{self._target.name} is paused; unpause it.")
        await self._mark_stopped(held, stopped=False)
        if task is None or task.status == _Status.STOPPED:
            if task is not None:
                await self._change(self._calls.delete_task(self._space, self._id, self.steps.left))
            await self._create(held, task)
        try:
            await self._change(self._calls.start(self._space, self._id, self.steps.left))
        except errors.Rejected:
            # Otherwise a task that can never run stays, and keeps the next attempt from making one.
            await self._change(self._calls.delete_task(self._space, self._id, self.steps.left))
            raise
        return self.steps.done()

    async def stop(self, timeout: float) -> Outcome:
        held, task = await self._held(), await self._task()
        await self._mark_stopped(held, stopped=True)
        if task is None or task.status == _Status.STOPPED:
            return self.steps.nothing("was not running")
        await self._send(signals.number(held.labels.get(STOP_SIGNAL_LABEL) or "TERM"))
        if task.status in (_Status.PAUSED, _Status.PAUSING):
            # Nothing that is frozen hears a signal.
            await self._change(self._calls.resume(self._space, self._id, self.steps.left))
        try:
            await self._wait(min(timeout, self.steps.left))
            return self.steps.done()
        except errors.TimedOut:
            if self.steps.left <= 0.05:
                raise
        await self._send(KILL)
        await self._wait(self.steps.left)
        return self.steps.done(f"did not end within {timeout:.0f} s and was killed")

    async def restart(self, timeout: float) -> Outcome:
        await self._held()
        self._refuse_others("started")
        stopped = await self.stop(timeout)
        try:
            await self.start()
        except (errors.Unreachable, errors.TimedOut):
            raise
        except errors.QuarterdeckError as error:
            if stopped.status != Status.DONE:
                raise
            told = f"was stopped and could not be started again: {error.full_message()}"
            return Outcome(status=Status.FAILED, detail=told, took=self.steps.done().took)
        return self.steps.done(stopped.detail if stopped.status == Status.DONE else "")

    async def kill(self, signal: str) -> Outcome:
        number = signals.number(signal)
        await self._held()
        task = await self._task()
        if task is None or task.status == _Status.STOPPED:
            raise errors.Rejected(NOT_NOW, f"{self._target.name} is not running.")
        try:
            await self._change(self._calls.kill(self._space, self._id, number, self.steps.left))
        except errors.NotFound as error:
            raise errors.Rejected(NOT_NOW, f"{self._target.name} is not running any more.") from error
        return self.steps.done()

    async def pause(self) -> Outcome:
        task = await self._running()
        if task.status in (_Status.PAUSED, _Status.PAUSING):
            return self.steps.nothing("was already paused")
        await self._change(self._calls.pause(self._space, self._id, self.steps.left))
        return self.steps.done()

    async def unpause(self) -> Outcome:
        task = await self._running()
        if task.status == _Status.RUNNING:
            return self.steps.nothing("was not paused")
        await self._change(self._calls.resume(self._space, self._id, self.steps.left))
        return self.steps.done()

    async def remove(self, *, force: bool) -> Outcome:
        held = await self._held()
        self._refuse_others("removed")
        task = await self._task()
        if task is not None and task.status != _Status.STOPPED:
            if task.status != _Status.CREATED and not force:
                raise errors.Rejected(NOT_NOW, f"{self._target.name} is running; stop it first, or remove it by force.")
            await self._mark_stopped(held, stopped=True)
            await self._send(KILL)
            if task.status in (_Status.PAUSED, _Status.PAUSING):
                await self._change(self._calls.resume(self._space, self._id, self.steps.left))
            await self._wait(self.steps.left)
        if task is not None:
            await self._gone_is_fine(self._calls.delete_task(self._space, self._id, self.steps.left))
        if held.snapshot_key:
            await self._gone_is_fine(
                self._calls.remove_snapshot(self._space, held.snapshotter, held.snapshot_key, self.steps.left)
            )
        await self._gone_is_fine(self._calls.delete_container(self._space, self._id, self.steps.left))
        kept = any(label.startswith("nerdctl/") for label in held.labels)
        return self.steps.done("nerdctl's own records of it, such as its name, stay" if kept else "")

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _held(self) -> Container:
        if not self._space:
            raise gone(self._target)
        try:
            return await self.steps.look(self._calls.container(self._space, self._id, self.steps.left))
        except errors.NotFound as error:
            raise gone(self._target) from error

    async def _task(self) -> Process | None:
        return await self.steps.look(self._calls.task(self._space, self._id, self.steps.left))

    async def _running(self) -> Process:
        await self._held()
        task = await self._task()
        if task is None or task.status in (_Status.STOPPED, _Status.CREATED):
            raise errors.Rejected(NOT_NOW, f"{self._target.name} is not running.")
        return task

    async def _change(self, asking: Awaitable[R]) -> R:
        return await self.steps.change(asking)

    async def _send(self, number: int) -> None:
        """A signal; one that ended meanwhile needs none."""
        await self._gone_is_fine(self._calls.kill(self._space, self._id, number, self.steps.left))

    async def _wait(self, seconds: float) -> None:
        try:
            await self.steps.look(self._calls.wait(self._space, self._id, seconds))
        except errors.NotFound:
            return

    async def _gone_is_fine(self, asking: Awaitable[None]) -> None:
        try:
            await self._change(asking)
        except errors.NotFound:
            return

    async def _create(self, held: Container, before: Process | None) -> None:
        """A task like the one before. Pipes of whoever attached to that are gone; a log it wrote goes on."""
        request = containerd_tasks_pb2.CreateTaskRequest(container_id=self._id)
        if held.snapshot_key:
            mounts = self._calls.mounts(self._space, held.snapshotter, held.snapshot_key, self.steps.left)
            request.rootfs.extend(await self.steps.look(mounts))
        request.terminal = decode.has_terminal(held.spec.value)
        if before is not None and "://" in before.stdout:
            request.stdout, request.stderr = before.stdout, before.stderr
        elif request.terminal:
            request.stdout = "/dev/null"  # a terminal's other end must lead somewhere
        await self._change(self._calls.create_task(self._space, request, self.steps.left))

    async def _mark_stopped(self, held: Container, *, stopped: bool) -> None:
        if RESTART_LABEL in held.labels and (held.labels.get(STOPPED_LABEL) == "true") != stopped:
            labels = {STOPPED_LABEL: "true" if stopped else "false"}
            await self._change(self._calls.label_container(self._space, self._id, labels, self.steps.left))

    def _refuse_others(self, done: str) -> None:
        owner = decode.OWNERS.get(self._space)
        if owner in ("docker", "cri"):
            whose = "Docker" if owner == "docker" else "Kubernetes"
            raise errors.Rejected(
                NOT_NOW, f"{self._target.name} is {whose}'s, and is {done} by it only; ask that engine ({owner})."
            )


def gone(target: Ref) -> errors.NotFound:
    return errors.NotFound(f"{target.name} is gone: {target.engine} has no such container.")
