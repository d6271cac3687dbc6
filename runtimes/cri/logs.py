"""Reads and follows logs of CRI containers.

The engine reports the path of the log file, and Quarterdeck reads this file on its own host.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TypeVar

import msgspec

from core import errors, file_thread, untrusted_files
from core.model import actions
from core.model.background_jobs import JobStarted
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import LogPage, LogRun, Outcome
from runtimes.base.base_adapter import does
from runtimes.base.jobs import MAX_JOB_LINES, Job
from runtimes.cri import decode, log_reader
from runtimes.cri.lifecycle import LifecycleVerbs
from runtimes.proto import cri_pb2 as cri

LOG_POLL_SECONDS = 0.2
STATE_POLL_SECONDS = 1.0
READ_SECONDS = 30.0  # for one access to a file; `read_page` also has its action's deadline
R = TypeVar("R")


class LogVerbs(LifecycleVerbs):
    """Serves the verb `container.logs` for CRI engines."""

    @does(actions.ReadLogs)
    async def read_logs(self, action: actions.ReadLogs, seconds: float) -> LogPage | JobStarted:
        if action.follow:
            return self.jobs.start(action.verb, lambda job: self._follow(action, job), read_only=True)
        deadline = time.monotonic() + seconds
        status = (await self._container_status(action.target, seconds)).status
        if action.previous and status.state in (decode.CREATED, decode.RUNNING):
            status = await self._status_of_previous_attempt(action.target, seconds)
        if status.state == decode.CREATED:
            return LogPage(lines=(), cursor=action.cursor)
        files = file_thread.FileThread("cri log")
        try:
            page = await self._in_time(
                files,
                partial(
                    log_reader.read_page,
                    status.log_path,
                    action.target.name,
                    owners=self._log_owners(),
                    deadline=deadline,
                    tail=action.tail,
                    since_ns=action.since_ns,
                    until_ns=action.until_ns,
                    cursor=action.cursor,
                    max_characters=action.max_characters,
                ),
                action.target,
            )
            return msgspec.structs.replace(page, runs=(_run(status),))
        finally:
            files.close()

    async def _status_of_previous_attempt(self, target: Ref, seconds: float) -> cri.ContainerStatus:
        """Returns the status of the container that ran before this one in the same pod. Each attempt has a log of its
        own. Raises NotFound if there was none, or if the kubelet has removed it."""
        request = cri.ListContainersRequest()
        listed = (await self._request("ListContainers", request, cri.ListContainersResponse, seconds)).containers
        own = next((one for one in listed if one.id == target.id), None)
        earlier = [
            one
            for one in listed
            if own is not None
            and (one.pod_sandbox_id, one.metadata.name) == (own.pod_sandbox_id, own.metadata.name)
            and one.metadata.attempt < own.metadata.attempt
        ]
        if not earlier:
            first = own is not None and own.metadata.attempt == 0
            why = "it has had only one run" if first else "the kubelet has removed its container and its log"
            raise errors.NotFound(
                f"There is no log of an earlier run of {target.name}: {why}.",
                hint=f"Show the log of the current run with: logs {target.name}",
            )
        newest = max(earlier, key=lambda one: one.metadata.attempt)
        found = await self._container_status(msgspec.structs.replace(target, id=newest.id), seconds)
        return found.status

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        name = action.target.name
        status = (await self._container_status(action.target, 10.0)).status
        while status.state == decode.CREATED:  # it has no log before it starts
            await asyncio.sleep(STATE_POLL_SECONDS)
            status = (await self._container_status(action.target, 10.0)).status
        files, opened, owners = file_thread.FileThread("cri log"), contextlib.ExitStack(), self._log_owners()

        def open_log() -> log_reader.LogFollower:
            log = log_reader.LogFollower(
                status.log_path,
                name,
                owners=owners,
                tail=action.tail,
                max_lines=MAX_JOB_LINES,
                since_ns=action.since_ns,
            )
            opened.callback(log.close)  # here, because the job may be stopped before it gets the result
            return log

        try:
            return await self._read_on(action.target, files, await self._in_time(files, open_log, action.target), job)
        finally:
            files.close(opened.close)

    async def _read_on(
        self, target: Ref, files: file_thread.FileThread, log: log_reader.LogFollower, job: Job
    ) -> Outcome:
        end_reason = ""
        state_read_at = 0.0
        while True:
            lines, dropped = await self._in_time(files, log.read, target)
            job.add_lines(lines, dropped)
            if lines:
                continue
            if end_reason:
                job.add_lines(log.read_unfinished())
                return Outcome(status=Status.DONE, detail=end_reason)
            if time.monotonic() - state_read_at >= STATE_POLL_SECONDS:
                state_read_at, end_reason = time.monotonic(), await self._end_reason(target)
            # An engine may write the last lines a moment after it reports that the container has ended.
            await asyncio.sleep(LOG_POLL_SECONDS)

    def _log_owners(self) -> Collection[int]:
        """Returns who writes the log files: the user who owns the engine's socket."""
        return (untrusted_files.owner_uid(self._socket_path),)

    async def _in_time(self, files: file_thread.FileThread, read: Callable[[], R], target: Ref) -> R:
        try:
            return await files.run(read, READ_SECONDS)
        except TimeoutError as error:
            raise errors.TimedOut(
                f"The log of {target.name} could not be read within {READ_SECONDS:.0f} s.",
                sent=False,
                hint="Check the disk that the log is on.",
            ) from error

    async def _end_reason(self, target: Ref) -> str:
        """Returns why a followed log is complete; empty while its container runs."""
        try:
            status = (await self._container_status(target, 10.0)).status
        except errors.NotFound:
            return f"{target.name} was removed"
        except (errors.Unreachable, errors.TimedOut) as error:
            raise errors.Unreachable(
                f"The log of {target.name} on {self.ref} was interrupted: {error.message}", hint=error.hint
            ) from error
        return "" if status.state == decode.RUNNING else f"{target.name} has ended with code {status.exit_code}"


def _run(status: cri.ContainerStatus) -> LogRun:
    """Returns the one run of a container: the kubelet makes a new container for each attempt."""
    ended = status.state == decode.EXITED
    return LogRun(
        number=status.metadata.attempt + 1,
        started_ns=max(0, status.started_at),
        ended_ns=max(0, status.finished_at) if ended else 0,
        exit_code=status.exit_code if ended else None,
        out_of_memory=ended and status.reason == decode.OOM_REASON,
    )
