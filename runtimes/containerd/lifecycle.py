"""Starts, stops, restarts, kills, pauses and removes containers of containerd.

containerd has no single request for these operations. `ContainerChange` reads, changes and waits in several requests.
`MultiRequestChange` records whether a change was already sent when a request fails.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from google.protobuf import any_pb2

from core import action_progress, errors
from core.model import actions
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base import stop_grace
from runtimes.base.base_adapter import does
from runtimes.base.multi_request_change import MIN_SECONDS, MultiRequestChange
from runtimes.containerd import client, decode, foreign_containers, json_models
from runtimes.containerd.client import FAILED_PRECONDITION, Client, Container, Process
from runtimes.containerd.connection import Connection
from runtimes.containerd.process_end import ProcessEnd
from runtimes.formats import signals
from runtimes.proto import containerd_task_types_pb2, containerd_tasks_pb2

R = TypeVar("R")
STOP_SIGNAL_LABEL = "io.containerd.image.config.stop-signal"
STOP_TIMEOUT_LABEL = "nerdctl/stop-timeout"  # in seconds
# containerd's restart monitor starts a container that has the first label, unless the second one is "true".
RESTART_LABEL, STOPPED_LABEL = "containerd.io/restart.status", "containerd.io/restart.explicitly-stopped"
SIGKILL = 9
NO_SIGNAL = ", so no signal can be sent to it. Check its state with: ps -a"
_Status = containerd_task_types_pb2.Status


class LifecycleVerbs(Connection):
    """Serves the verbs that start, stop, pause or remove a container of containerd."""

    def refusal(self, action: actions.Action[Any]) -> errors.QuarterdeckError | None:
        owned = None
        if isinstance(action, actions.Start | actions.Restart | actions.Remove):
            owned = foreign_containers.owner_refusal(
                action.target, "remove" if isinstance(action, actions.Remove) else "start"
            )
        return super().refusal(action) or owned

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).start()

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).stop(action.timeout, seconds)

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Outcome:
        # A restart is a stop and a start: refused before the stop unless the host's owner allows both.
        for step in (actions.Stop, actions.Start):
            if not self._allows(step.verb):
                raise errors.Disallowed(step.verb, str(self.ref))
        return await (await self._change(action.target, seconds)).restart(action.timeout, seconds)

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).kill(action.signal)

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).pause()

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        return await (await self._change(action.target, seconds)).unpause()

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        outcome = await (await self._change(action.target, seconds)).remove(force=action.force)
        self._containers.forget(action.target.id)
        return outcome

    async def _change(self, target: Ref, seconds: float) -> ContainerChange:
        deadline = time.monotonic() + seconds
        await self._identify(seconds)
        left = max(MIN_SECONDS, deadline - time.monotonic())
        return ContainerChange(self._client, target, min(left, stop_grace.ENGINE_SECONDS))


class ContainerChange:
    """Sends the requests of one change of `target`. `seconds`: the timeout of all requests together, without the wait
    for a container that is stopped."""

    def __init__(self, calls: Client, target: Ref, seconds: float) -> None:
        self._client = calls
        self._target = target
        self._namespace, self._id = decode.split_id(target.id)
        self._steps = MultiRequestChange(seconds)

    async def start(self) -> Outcome:
        container = await self._read_container()
        self._refuse_owned("start")
        task = await self._read_task()
        if task is not None and task.status in (_Status.RUNNING, _Status.PAUSING):
            return self._steps.noop("was already running")
        if task is not None and task.status == _Status.PAUSED:
            raise errors.Rejected(FAILED_PRECONDITION, f"{self._target.name} is paused: unpause it instead.")
        await self._set_stopped_label(container, stopped=False)
        if task is None or task.status == _Status.STOPPED:
            if task is not None:  # its own client may delete it at the same time
                await self._delete(self._client.delete_task(self._namespace, self._id, self._steps.seconds_left))
            await self._create_task(container, task)
        try:
            await self._change(self._client.start(self._namespace, self._id, self._steps.seconds_left))
        except errors.Rejected:
            # A task that cannot start must not stay: the next start could not create a new one.
            await self._delete(self._client.delete_task(self._namespace, self._id, self._steps.seconds_left))
            raise
        return self._steps.done()

    async def stop(self, given: int | None, seconds: float) -> Outcome:
        """Stops the container within `seconds`, which includes its grace. `given`: the requester's grace."""
        ends = time.monotonic() + seconds
        container, task = await self._read_container(), await self._read_task()
        own = stop_grace.parse_setting(container.labels.get(STOP_TIMEOUT_LABEL, ""))
        in_pod = decode.NAMESPACE_OWNERS.get(self._namespace) == "cri"
        default = stop_grace.KUBERNETES_SECONDS if in_pod else stop_grace.DEFAULT_SECONDS
        grace = stop_grace.grace_seconds(given, own, default)
        self._steps.extend(stop_grace.patience(grace, max(MIN_SECONDS, ends - time.monotonic())))
        await self._set_stopped_label(container, stopped=True)
        if task is None or task.status == _Status.STOPPED:
            return self._steps.noop("was not running")
        stop_grace.report(grace)
        await self._signal(signals.parse_signal_number(container.labels.get(STOP_SIGNAL_LABEL) or "TERM"))
        await self._resume_if_paused(task)
        request = self._client.wait(self._namespace, self._id, self._steps.seconds_left)
        async with ProcessEnd(request, self._target.name) as end:
            try:
                await self._wait(end.wait(min(grace, self._steps.seconds_left)))
                return self._steps.done()
            except errors.TimedOut:
                if self._steps.expired:
                    raise
            await self._signal(SIGKILL)
            await self._wait(end.wait(self._steps.seconds_left))
        return self._steps.done(stop_grace.was_killed(grace), killed=(self._target.name,))

    async def restart(self, given: int | None, seconds: float) -> Outcome:
        """Stops the container as `stop` does, and starts it again."""
        await self._read_container()
        self._refuse_owned("start")
        stopped = await self.stop(given, seconds)
        action_progress.begin("waiting for it to start")
        self._steps.extend(stop_grace.ENGINE_SECONDS)
        try:
            await self.start()
        except (errors.Unreachable, errors.TimedOut):
            raise
        except errors.QuarterdeckError as error:
            if stopped.status != Status.DONE:
                raise
            detail = f"was stopped and could not be started again: {error.full_message()}"
            took = self._steps.seconds_taken
            return Outcome(status=Status.FAILED, detail=detail, took=took, killed=stopped.killed)
        return self._steps.done(stopped.detail if stopped.status == Status.DONE else "", killed=stopped.killed)

    async def kill(self, signal_name: str) -> Outcome:
        number = signals.parse_signal_number(signal_name)
        await self._read_container()
        task = await self._read_task()
        if task is None or task.status == _Status.STOPPED:
            raise self._not_running(NO_SIGNAL)
        try:
            await self._change(self._client.kill(self._namespace, self._id, number, self._steps.seconds_left))
        except errors.NotFound as error:
            raise self._not_running(NO_SIGNAL) from error
        if number != SIGKILL:
            return self._steps.done()
        # A container that still runs cannot be removed.
        try:
            seconds = min(stop_grace.KILL_SECONDS, self._steps.seconds_left)
            await self._wait(self._client.wait(self._namespace, self._id, seconds))
        except errors.TimedOut:
            return self._steps.done(stop_grace.still_runs())
        except errors.EngineError:
            return self._steps.done()  # the signal was sent, and nothing more is known
        return self._steps.done()

    async def pause(self) -> Outcome:
        task = await self._read_running_task()
        if _is_paused(task):
            return self._steps.noop("was already paused")
        await self._change(self._client.pause(self._namespace, self._id, self._steps.seconds_left))
        return self._steps.done()

    async def unpause(self) -> Outcome:
        task = await self._read_running_task()
        if task.status == _Status.RUNNING:
            return self._steps.noop("was not paused")
        await self._change(self._client.resume(self._namespace, self._id, self._steps.seconds_left))
        return self._steps.done()

    async def update(self, resources: any_pb2.Any, detail: str) -> Outcome:
        await self._read_running_task()
        await self._change(self._client.update(self._namespace, self._id, resources, self._steps.seconds_left))
        return self._steps.done(detail)

    async def remove(self, *, force: bool) -> Outcome:
        container = await self._read_container()
        self._refuse_owned("remove")
        task = await self._read_task()
        if task is not None and task.status != _Status.STOPPED:
            if task.status != _Status.CREATED and not force:
                state, name = "paused" if _is_paused(task) else "running", self._target.name
                why = f"{name} is {state}: stop it first, or give: rm -f {name}"
                raise errors.Rejected(FAILED_PRECONDITION, why)
            await self._set_stopped_label(container, stopped=True)
            await self._signal(SIGKILL)
            await self._resume_if_paused(task)
            await self._wait(self._client.wait(self._namespace, self._id, self._steps.seconds_left))
        if task is not None:
            await self._delete(self._client.delete_task(self._namespace, self._id, self._steps.seconds_left))
        if container.snapshot_key:
            await self._delete(
                self._client.remove_snapshot(
                    self._namespace, container.snapshotter, container.snapshot_key, self._steps.seconds_left
                )
            )
        await self._delete(self._client.delete_container(self._namespace, self._id, self._steps.seconds_left))
        by_nerdctl = any(label.startswith("nerdctl/") for label in container.labels)
        return self._steps.done("nerdctl still has its own records of it, such as its name" if by_nerdctl else "")

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_container(self) -> Container:
        if not self._namespace:
            raise client.gone(self._target)
        try:
            return await self._steps.read(self._client.container(self._namespace, self._id, self._steps.seconds_left))
        except errors.NotFound as error:
            raise client.gone(self._target) from error

    async def _read_task(self) -> Process | None:
        return await self._steps.read(self._client.task(self._namespace, self._id, self._steps.seconds_left))

    async def _read_running_task(self) -> Process:
        await self._read_container()
        task = await self._read_task()
        if task is None or task.status in (_Status.STOPPED, _Status.CREATED):
            raise self._not_running()
        return task

    async def _change(self, request: Awaitable[R]) -> R:
        return await self._steps.change(request)

    async def _signal(self, number: int) -> None:
        """Sends a signal. It is no error if the task has ended in the meantime."""
        await self._delete(self._client.kill(self._namespace, self._id, number, self._steps.seconds_left))

    async def _resume_if_paused(self, task: Process) -> None:
        """Resumes a paused task, because a paused process receives its signals only after it is resumed. With cgroup
        version 2, SIGKILL ends a paused process too."""
        if not _is_paused(task):
            return
        try:
            await self._change(self._client.resume(self._namespace, self._id, self._steps.seconds_left))
        except (errors.NotFound, errors.Rejected):
            if _is_paused(await self._read_task()):
                raise

    async def _wait(self, end: Awaitable[int]) -> None:
        """Waits for the end of the process. It is no error if it does not exist any more."""
        try:
            await self._steps.read(end)
        except errors.NotFound:
            return

    async def _delete(self, request: Awaitable[None]) -> None:
        """Sends a change. It is no error if its target does not exist any more."""
        try:
            await self._change(request)
        except errors.NotFound:
            return

    async def _create_task(self, container: Container, previous: Process | None) -> None:
        """Creates a task like the previous one. A log file that the previous task wrote is continued. The pipes of
        attached clients do not exist any more, so they are not used again."""
        request = containerd_tasks_pb2.CreateTaskRequest(container_id=self._id)
        if container.snapshot_key:
            mounts = self._client.mounts(
                self._namespace, container.snapshotter, container.snapshot_key, self._steps.seconds_left
            )
            request.rootfs.extend(await self._steps.read(mounts))
        process = json_models.process_of(container.spec.value)
        request.terminal = bool(process and process.terminal)
        if previous is not None and "://" in previous.stdout:
            request.stdout, request.stderr = previous.stdout, previous.stderr
        elif request.terminal:
            request.stdout = "/dev/null"  # containerd needs a path for the other end of a terminal
        await self._change(self._client.create_task(self._namespace, request, self._steps.seconds_left))

    async def _set_stopped_label(self, container: Container, *, stopped: bool) -> None:
        if RESTART_LABEL in container.labels and (container.labels.get(STOPPED_LABEL) == "true") != stopped:
            labels = {STOPPED_LABEL: "true" if stopped else "false"}
            await self._change(
                self._client.label_container(self._namespace, self._id, labels, self._steps.seconds_left)
            )

    def _refuse_owned(self, change: str) -> None:
        if (refused := foreign_containers.owner_refusal(self._target, change)) is not None:
            raise refused

    def _not_running(self, cure: str = ": start it first.") -> errors.Rejected:
        return errors.Rejected(FAILED_PRECONDITION, f"{self._target.name} is not running{cure}")


def _is_paused(task: Process | None) -> bool:
    return task is not None and task.status in (_Status.PAUSED, _Status.PAUSING)
