"""Verifies containers that were just started, as one job: whether each still runs after some seconds, is healthy, or
has ended.

A verdict is one line of the job, added as soon as it is known. A container without a health check is watched for ten
seconds, one with a check until the check has answered. The engine is asked again when an event of a container is
received. If this process does not read its events, the engine is asked at intervals that grow with the number of
containers. An engine that does not answer is asked again until the time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from core import errors
from core.lazy_dataclass import dataclass
from core.model.background_jobs import JobStarted
from core.model.containers import LIVE_STATES, Container
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import LogLine, Outcome
from core.model.verification import VERDICT, RunState, RunVerdict, VerifyRuns, seconds_to_watch
from runtimes.base.base_adapter import does
from runtimes.base.jobs import Job, JobAdapter

POLL_SECONDS = 1.0  # between two looks at up to POLLED_AT_ONCE containers
POLLED_AT_ONCE = 10
REST_SECONDS = 5.0  # between two looks if events are watched: an event may be lost
LOOK_SECONDS = 10.0
ENDED_STATES = ("exited", "dead", "restarting")
COUNTS_ANEW = ("docker", "podman")

Describe = Callable[[Sequence[str], float], Awaitable[Mapping[str, Container | None]]]
_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(RunVerdict)


class ContainerEventSource(Protocol):
    """Knows the events of the containers. `changed` returns the ids of those that an event was reported of, once there
    are any or after `seconds`; None if events are not received now. `stopped` returns whether a client stopped the last
    run of a container."""

    async def changed(self, ids: Collection[str], seconds: float, /) -> Collection[str] | None: ...

    async def ends(self, ref: Ref, /) -> KnownEnds: ...

    def stopped(self, container_id: str, /) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEnds:
    """How often a container ended by itself within the last hour, and the exit code of the last time."""

    number: int = 0
    exit_code: int | None = None


class NoWitness:
    """Receives no events."""

    async def changed(self, ids: Collection[str], seconds: float, /) -> Collection[str] | None:
        return None

    async def ends(self, ref: Ref, /) -> KnownEnds:
        return KnownEnds()

    def stopped(self, container_id: str, /) -> bool:
        return False


class VerifyVerbs(JobAdapter):
    """Serves the verb `job.verify` for every engine that can describe its containers."""

    @does(VerifyRuns)
    async def verify_runs(self, action: VerifyRuns, seconds: float) -> JobStarted:
        return self.jobs.start(
            action.verb, lambda job: watch_runs(self.describe, action, job), read_only=True, light=True
        )


async def watch_runs(
    describe: Describe, action: VerifyRuns, job: Job, witness: ContainerEventSource | None = None
) -> Outcome:
    """Runs the job until there is a verdict on each container."""
    return await _Watch(describe, action, job, witness or NoWitness()).run()


def decode(line: LogLine) -> RunVerdict | None:
    """Returns the verdict of one line of the job; None for a line that another version of Quarterdeck wrote."""
    try:
        return _decoder.decode(line.text)
    except msgspec.MsgspecError:
        return None


@dataclass(slots=True, kw_only=True)
class _Run:
    """One container. `first`: as it was found first; `row`: as it was found last; `gone`: it was removed; `limit`: how
    long it is watched."""

    ref: Ref
    first: Container | None = None
    row: Container | None = None
    gone: bool = False
    limit: float = seconds_to_watch(None)


class _Watch:
    def __init__(self, describe: Describe, action: VerifyRuns, job: Job, witness: ContainerEventSource) -> None:
        self._describe, self._job, self._witness = describe, job, witness
        self._started = action.started
        self._left = {ref.id: _Run(ref=ref) for ref in action.runs}
        self._began = _now()
        self._fault = ""

    async def run(self) -> Outcome:
        look: Collection[str] = list(self._left)
        while self._left:
            await self._look(look)
            for run in list(self._left.values()):
                if (verdict := await self._verdict(run)) is not None:
                    del self._left[run.ref.id]
                    text = _encoder.encode(verdict).decode()
                    self._job.add_lines([LogLine(at="", stream=VERDICT, text=text)])
            if self._left:
                look = await self._wait()
        return Outcome(status=Status.DONE)

    async def _wait(self) -> Collection[str]:
        """Returns the ids of the containers to look at next, once it is time for that."""
        ends = min(run.limit for run in self._left.values())
        remaining = max(0.05, ends - self._elapsed())
        every = POLL_SECONDS * max(1.0, len(self._left) / POLLED_AT_ONCE)
        unknown = [run.ref.id for run in self._left.values() if run.row is None]
        if not unknown:
            changed = await self._witness.changed(list(self._left), min(REST_SECONDS, remaining))
            if changed:
                return [each for each in changed if each in self._left]
            if changed is not None:
                return list(self._left)
        await asyncio.sleep(min(every, remaining))
        return list(self._left)

    async def _look(self, ids: Collection[str]) -> None:
        try:
            found = await self._describe(list(ids), LOOK_SECONDS)
        except errors.QuarterdeckError as error:
            self._fault = error.full_message()
            return
        self._fault = ""
        for container_id in ids:
            if container_id not in found or (run := self._left.get(container_id)) is None:
                continue  # its inspection could not be decoded
            row = found[container_id]
            run.gone = row is None
            if row is not None:
                run.row = row
                if run.first is None:
                    run.first, run.limit = row, seconds_to_watch(row.health_seconds)

    async def _verdict(self, run: _Run) -> RunVerdict | None:
        """Returns the verdict on a container; None as long as there is none."""
        row, over = run.row, self._elapsed() >= run.limit
        if run.gone:
            return await self._removed(run)
        if row is None or run.first is None:
            why = self._fault or "its engine did not describe it"
            return self._new(run, RunState.UNKNOWN, why=why) if over else None
        if row.state in ENDED_STATES or self._ran_again(run.first, row):
            return await self._ended(run, row)
        if row.state == "paused":
            return self._new(run, RunState.PAUSED)
        if row.state in LIVE_STATES and row.health == "healthy":
            return self._new(run, RunState.HEALTHY)
        if row.state in LIVE_STATES and row.health == "unhealthy" and (over or self._is_new_result(run)):
            return self._new(run, RunState.UNHEALTHY)
        if not over:
            return None
        if self._fault:
            return self._new(run, RunState.UNKNOWN, why=self._fault)
        if row.state not in LIVE_STATES:
            return self._new(run, RunState.UNKNOWN, why=f"it is {row.state}")
        return self._new(run, RunState.UNCHECKED if row.health else RunState.RUNNING)

    def _is_new_result(self, run: _Run) -> bool:
        """Whether a failed health check is a result of now. Docker sets it when a container is paused, and it stays
        until the first check after the unpause."""
        return self._started or run.first is None or run.first.health != "unhealthy"

    def _ran_again(self, first: Container, row: Container) -> bool:
        """Whether the container ended and was started again since the change."""
        if (row.restarts or 0) > (first.restarts or 0) or row.started_at != first.started_at:
            return True
        # These engines count the restarts of a run that a client has started from 0.
        return self._started and row.ref.engine.kind in COUNTS_ANEW and bool(row.restarts)

    async def _ended(self, run: _Run, row: Container) -> RunVerdict:
        running = row.state in LIVE_STATES
        if not running and (row.stopped_by_client or self._witness.stopped(run.ref.id)):
            return self._new(run, RunState.STOPPED)
        seconds = self._elapsed()
        if not running and row.started_at is not None and row.finished_at is not None:
            # The engine knows it better; its clock may be another one.
            seconds = min(seconds, max(0.0, row.finished_at - row.started_at))
        known = await self._witness.ends(run.ref)
        exit_code = known.exit_code if running else row.exit_code
        return RunVerdict(
            ref=run.ref,
            state=RunState.ENDED,
            seconds=seconds,
            exit_code=exit_code,
            out_of_memory=bool(row.oom_killed) and exit_code != 0,
            ends=max(known.number, row.restarts or 0, 1),
            restarting=running or row.state == "restarting",
        )

    async def _removed(self, run: _Run) -> RunVerdict:
        """Returns the verdict on a container that is gone; one with --rm is removed because it ended."""
        known = await self._witness.ends(run.ref)
        if run.row is None or not run.row.auto_remove or not known.number:
            return self._new(run, RunState.REMOVED)
        ended = self._new(run, RunState.ENDED)
        return msgspec.structs.replace(ended, exit_code=known.exit_code, ends=known.number)

    def _new(self, run: _Run, state: RunState, *, why: str = "") -> RunVerdict:
        return RunVerdict(ref=run.ref, state=state, seconds=self._elapsed(), why=why)

    def _elapsed(self) -> float:
        return _now() - self._began


def _now() -> float:
    """Returns the event loop's time in seconds."""
    return asyncio.get_running_loop().time()
