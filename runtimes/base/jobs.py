"""Runs the jobs of one engine. A job, such as a pull or a followed log, continues after the call that started it.

An adapter's method starts a job. Later calls read the job's lines and progress page by page, or stop the job:

    async def scale(self, action, seconds):
        async def work(job: Job) -> Outcome:
            job.progress("2 of 3 run")
            ...
        return self.jobs.start(action.verb, work)

Three things are limited: the number of jobs (of read-only ones also for each person), the size of each job's output,
and the time for which an ended job can be read. If a job has too many lines, the oldest lines are dropped and counted.
Lines are numbered in their order. A cursor is the number of the next line to read, so no line is read twice. A
read-only job is stopped if nobody reads it for a while. A job that changes something continues even if nobody reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from core import errors, tasks
from core.model import background_jobs
from core.model.background_jobs import JobPage, JobStarted
from core.model.refs import EngineRef
from core.model.replies import Status
from core.model.results import LogLine, Outcome
from core.model.verification import VerifyRuns
from runtimes.base import base_adapter
from runtimes.base.base_adapter import BaseAdapter, does

log = structlog.get_logger(__name__)
MAX_JOBS = 64  # running at once; the same number of ended jobs is stored
# Each read-only job holds one of the sixteen streams of the engine's client; the others are left for other readers.
MAX_READ_ONLY_JOBS = 10
MAX_READ_ONLY_PER_PERSON = 5
MAX_JOB_LINES, MAX_JOB_CHARACTERS = 1000, 1 << 20  # lines and characters of one job
PAGE_LINES, PAGE_CHARACTERS = 200, 1 << 16  # lines and characters of one page
UNREAD_SECONDS = 30.0  # a read-only job that nobody reads is stopped after this time
ENDED_SECONDS = 300.0  # an ended job can be read for this time
STOP_SECONDS = 5.0  # a stopped job may take this long to end


class Job:
    """Stores the lines, the progress and the outcome of one job until they are read. Writing never waits."""

    def __init__(self, id: str, verb: str, who: str, *, read_only: bool, light: bool = False) -> None:  # noqa: A002
        self.id, self.verb, self.who, self.read_only, self.light = id, verb, who, read_only, light
        self.read_at = _now()
        self.ended_at: float | None = None
        self.task: asyncio.Task[None] | None = None
        self._why = "was stopped"
        self._lines: deque[tuple[int, LogLine]] = deque()
        self._size = 0  # characters of these lines
        self._next_number = 0  # of the next line
        self._progress = ""
        self._steps = 0
        self._outcome: Outcome | None = None
        self._changed = asyncio.Event()

    def add_lines(self, lines: Sequence[LogLine], dropped: int = 0) -> None:
        """Adds lines. `dropped`: how many lines before these were lost; they are counted only."""
        if not lines and not dropped:
            return
        self._next_number += dropped
        for line in lines:
            self._lines.append((self._next_number, line))
            self._next_number += 1
            self._size += len(line.text)
        while len(self._lines) > MAX_JOB_LINES or (self._size > MAX_JOB_CHARACTERS and len(self._lines) > 1):
            self._size -= len(self._lines.popleft()[1].text)
        self._changed.set()

    def progress(self, text: str) -> None:
        if text != self._progress:
            self._progress = text
            self._steps += 1
            self._changed.set()

    def end(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome, self.ended_at = outcome, _now()
            self._changed.set()

    async def cancel(self, why: str) -> bool:
        """Stops the job. Returns False if it did not end in time."""
        if self.task is None or self.task.done():
            return True
        self._why = why
        self.task.cancel()
        await asyncio.wait([self.task], timeout=STOP_SECONDS)
        return self.task.done()

    def aborted(self) -> None:
        """Ends the job as stopped. A change that was stopped may be half done, so its outcome is UNKNOWN."""
        self.end(Outcome(status=Status.DONE if self.read_only else Status.UNKNOWN, detail=self._why))

    async def page(self, cursor: str, wait: float) -> JobPage:
        """Returns the news after `cursor`. If there is none, waits for it, for at most `wait` seconds."""
        at, steps = _parse_cursor(cursor)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while self._next_number <= at and self._steps == steps and self._outcome is None:
                    self.read_at = _now()
                    self._changed.clear()
                    await self._changed.wait()
        self.read_at = _now()
        lines: list[LogLine] = []
        size, after = 0, self._next_number
        for number, line in self._lines:
            if number < at:
                continue
            size += len(line.text)
            if len(lines) == PAGE_LINES or (lines and size > PAGE_CHARACTERS):
                after = number
                break
            lines.append(line)
        # Lines dropped between these ones are counted as skipped, too.
        return JobPage(
            cursor=f"{after}/{self._steps}",
            lines=tuple(lines),
            skipped=max(0, after - at - len(lines)),
            progress=self._progress,
            outcome=self._outcome if after == self._next_number else None,
        )


def _parse_cursor(cursor: str) -> tuple[int, int]:
    number, _, steps = (cursor or "0/0").partition("/")
    try:
        return int(number), int(steps)
    except ValueError:
        raise errors.InvalidResponse(
            f"“{cursor[:64]}” is not a valid position in the output of a job.",
            sent=False,
            hint="Give the command again. Run the same version of Quarterdeck on all replicas.",
        ) from None


def _now() -> float:
    """Returns the event loop's time in seconds, which the waits in this module use."""
    return asyncio.get_running_loop().time()


class Jobs:
    """Starts, reads and stops the jobs of one engine."""

    def __init__(self, engine: Callable[[], EngineRef]) -> None:
        self._engine = engine
        self._jobs: dict[str, Job] = {}
        self.new_id: Callable[[], str] = _new_id

    def start(
        self,
        verb: str,
        work: Callable[[Job], Awaitable[Outcome]],
        *,
        read_only: bool = False,
        light: bool = False,
        who: str | None = None,
    ) -> JobStarted:
        """Starts a job. `read_only`: it changes nothing, so it is stopped if nobody reads it. `light`: it holds no
        stream of the engine, so it does not count as one that follows something. `who`: the requester, by default that
        of the current call. Raises Refused if too many jobs are running."""
        self._remove_old()
        if who is None:
            call = base_adapter.current_call()
            who = call.who if call else ""
        self._check_limits(who, following=read_only and not light)
        job = Job(self.new_id(), verb, who, read_only=read_only, light=light)
        self._jobs[job.id] = job
        job.task = tasks.start(f"job {verb} {job.id}", self._run(job, work))
        job.task.add_done_callback(lambda _: job.aborted())  # for a job that was stopped before its first step
        return JobStarted(job=job.id)

    def has(self, name: str) -> bool:
        """Whether a job with this id runs here, or ended lately."""
        return name in self._jobs

    async def read(self, action: background_jobs.ReadJob) -> JobPage:
        return await self._find(action.job).page(action.cursor, action.wait)

    async def stop(self, name: str, who: str | None) -> Outcome:
        """Stops a job. `who`: the person who must have started it; None: anybody."""
        job = self._find(name)
        if who is not None and job.who != who:
            raise errors.NotPermitted(
                f"You may not stop the job {name}: somebody else started it.",
                rule="own-job",
                hint="Ask that person or an admin to stop the job. With the permission job.stop-any, give:"
                f" job stop {name}@{self._engine()} --force",
            )
        if job.ended_at is not None:
            return Outcome(status=Status.NOOP, detail="had ended already")
        if not await job.cancel("was stopped"):
            return Outcome(
                status=Status.UNKNOWN, detail=f"was asked to stop, but did not end within {STOP_SECONDS:.0f} s"
            )
        return Outcome(status=Status.DONE)

    async def aclose(self) -> None:
        await asyncio.gather(*(job.cancel("Quarterdeck was stopped") for job in self._jobs.values()))
        self._jobs.clear()

    def _check_limits(self, who: str, *, following: bool) -> None:
        running = [job for job in self._jobs.values() if job.ended_at is None]
        watching = [job for job in running if job.read_only and not job.light]
        if following and sum(job.who == who for job in watching) >= MAX_READ_ONLY_PER_PERSON:
            raise errors.Refused(
                f"You already follow logs or events in {MAX_READ_ONLY_PER_PERSON} jobs on {self._engine()}, which is"
                " the limit.",
                hint="Stop one of them: press Stop at its message, or give `job stop ID` with the id that the message"
                " shows.",
            )
        if len(running) >= MAX_JOBS or (following and len(watching) >= MAX_READ_ONLY_JOBS):
            full = len(running) >= MAX_JOBS
            kind = f"{len(running)} jobs" if full else f"{len(watching)} jobs that follow logs or events"
            raise errors.Refused(
                f"The job was not started, because {kind} run on {self._engine()} already, which is the limit.",
                hint="Wait until one of these jobs ends, or stop one: press Stop at its message.",
            )

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[Outcome]]) -> None:
        idle = tasks.start(f"unread {job.id}", self._stop_if_unread(job)) if job.read_only else None
        try:
            job.end(await work(job))
        except asyncio.CancelledError:
            job.aborted()
        except errors.QuarterdeckError as error:
            sent = isinstance(error, errors.EngineError) and error.sent and not job.read_only
            job.end(Outcome(status=Status.UNKNOWN if sent else Status.FAILED, detail=error.full_message()))
        except Exception:
            reference = secrets.token_hex(4)
            log.exception(
                "A job failed because of a bug.",
                action=job.verb,
                job=job.id,
                engine=str(self._engine()),
                ref=reference,
            )
            status = Status.FAILED if job.read_only else Status.UNKNOWN
            job.end(Outcome(status=status, detail=f"Internal error, reference {reference}."))
        finally:
            if idle is not None:
                idle.cancel()

    async def _stop_if_unread(self, job: Job) -> None:
        while (quiet := _now() - job.read_at) < UNREAD_SECONDS:  # noqa: ASYNC110 (sleeps until the earliest possible end)
            await asyncio.sleep(UNREAD_SECONDS - quiet + 0.01)
        await job.cancel("nobody read it any more")

    def _find(self, name: str) -> Job:
        self._remove_old()
        job = self._jobs.get(name)
        if job is None:
            raise errors.NotFound(
                f"There is no job {name} on {self._engine()}: it ended, Quarterdeck was restarted, or the id is wrong.",
                hint="If you still need the job, give the command that started it again.",
            )
        return job

    def _remove_old(self) -> None:
        now = _now()
        ended = [(job.ended_at, name) for name, job in self._jobs.items() if job.ended_at is not None]
        for number, (at, name) in enumerate(sorted(ended, reverse=True)):
            if number >= MAX_JOBS or now - at > ENDED_SECONDS:
                del self._jobs[name]


def _new_id() -> str:
    return secrets.token_hex(6)


# Whoever was allowed to start a job may read and stop it, and who changed a container may see what became of it.
ALLOWED_VERBS = frozenset(
    {background_jobs.ReadJob.verb, background_jobs.StopJob.verb, background_jobs.StopAnyJob.verb, VerifyRuns.verb}
)


class JobAdapter(BaseAdapter):
    """Adds the actions that read and stop jobs to an adapter."""

    def __init__(self, ref: EngineRef, *, allow: Sequence[str] = ()) -> None:
        super().__init__(ref, allow=allow)
        self.jobs = Jobs(lambda: self.ref)

    def _allows(self, verb: str) -> bool:
        return verb in ALLOWED_VERBS or super()._allows(verb)

    @does(background_jobs.ReadJob)
    async def read_job(self, action: background_jobs.ReadJob, seconds: float) -> JobPage:
        return await self.jobs.read(action)

    @does(background_jobs.StopJob)
    async def stop_job(self, action: background_jobs.StopJob, seconds: float) -> Outcome:
        return await self.jobs.stop(action.job, action.who)

    @does(background_jobs.StopAnyJob)
    async def stop_any_job(self, action: background_jobs.StopAnyJob, seconds: float) -> Outcome:
        return await self.jobs.stop(action.job, None)

    async def aclose(self) -> None:
        await self.jobs.aclose()
        await super().aclose()
