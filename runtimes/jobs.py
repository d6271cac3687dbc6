"""Jobs of one engine: what outlives the call that began it. Begun by an adapter's method, read page by page, ended.

    async def scale(self, action, seconds):
        async def work(job: Job) -> Outcome:
            job.progress("2 of 3 run")
            ...
        return self.jobs.begin(action.verb, work)

Bounded throughout: so many jobs, so many lines each (older ones are let go and counted), so long kept after their end.
A job that only watches ends when nobody has read it for a while; one that changes something goes on unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from core import errors
from core.model import jobs
from core.model.jobs import JobPage, Started
from core.model.refs import EngineRef
from core.model.replies import Status
from core.model.things import LogLine, Outcome
from runtimes import adapter
from runtimes.adapter import Adapter, does

log = structlog.get_logger(__name__)
MOST = 64
KEPT_LINES = 1000
PAGE = 200  # lines
UNREAD = 30.0  # seconds after which a job that only watches is ended
KEPT_ENDED = 300.0  # seconds an ended job can still be read
ENDING = 5.0  # seconds a stopped job may take to end


class Job:
    """What the work writes to. `say` and `progress` never wait."""

    def __init__(self, id: str, verb: str, who: str, *, watches: bool) -> None:  # noqa: A002
        self.id, self.verb, self.who, self.watches = id, verb, who, watches
        self.read_at = time.monotonic()
        self.ended_at: float | None = None
        self.task: asyncio.Task[None] | None = None
        self._lines: deque[LogLine] = deque(maxlen=KEPT_LINES)
        self._said = 0  # lines ever said: the number of the next one
        self._progress = ""
        self._steps = 0
        self._outcome: Outcome | None = None
        self._news = asyncio.Event()

    def say(self, lines: Sequence[LogLine], dropped: int = 0) -> None:
        """`dropped`: lines before these that are not kept at all."""
        if lines or dropped:
            self._lines.extend(lines)
            self._said += dropped + len(lines)
            self._news.set()

    def progress(self, text: str) -> None:
        if text != self._progress:
            self._progress = text
            self._steps += 1
            self._news.set()

    def end(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome, self.ended_at = outcome, time.monotonic()
            self._news.set()

    async def page(self, cursor: str, wait: float) -> JobPage:
        """What came after `cursor`, at once if there is something, else when there is or `wait` seconds are over."""
        said, _, steps = cursor.partition("/")
        seen = int(said or 0), int(steps or 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while (self._said, self._steps) == seen and self._outcome is None:
                    self.read_at = time.monotonic()
                    self._news.clear()
                    await self._news.wait()
        self.read_at = time.monotonic()
        new = self._said - seen[0]
        kept = max(0, min(new, len(self._lines), PAGE))
        return JobPage(
            cursor=f"{self._said}/{self._steps}",
            lines=tuple(itertools.islice(self._lines, len(self._lines) - kept, None)),
            skipped=max(0, new - kept),
            progress=self._progress,
            outcome=self._outcome,
        )


class Jobs:
    def __init__(self, engine: Callable[[], EngineRef]) -> None:
        self._engine = engine
        self._jobs: dict[str, Job] = {}

    def begin(self, verb: str, work: Callable[[Job], Awaitable[Outcome]], *, watches: bool = False) -> Started:
        """Raises Refused when too many are under way. `watches`: it changes nothing, so it ends when nobody reads."""
        self._sweep()
        if len(self._jobs) >= MOST:
            raise errors.Refused(
                f"{MOST} things are under way on {self._engine()} already.", hint="Wait for one of them to end."
            )
        call = adapter.current_call()
        job = Job(secrets.token_hex(6), verb, call.who if call else "", watches=watches)
        self._jobs[job.id] = job
        job.task = asyncio.get_running_loop().create_task(self._run(job, work), name=f"job {verb} {job.id}")
        return Started(job=job.id)

    async def read(self, action: jobs.ReadJob) -> JobPage:
        return await self._find(action.job).page(action.cursor, action.wait)

    async def stop(self, name: str, who: str | None) -> Outcome:
        """`who`: only if they began it; None for whoever did."""
        job = self._find(name)
        if who is not None and job.who != who:
            raise errors.NotPermitted("Somebody else began that.", rule="own-job", hint="They or an admin can stop it.")
        if job.ended_at is not None:
            return Outcome(status=Status.NOOP, detail="had ended already")
        await self._cancel(job)
        return Outcome(status=Status.DONE)

    async def aclose(self) -> None:
        await asyncio.gather(*(self._cancel(job) for job in self._jobs.values()))
        self._jobs.clear()

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[Outcome]]) -> None:
        loop = asyncio.get_running_loop()
        idle = loop.create_task(self._unread(job), name=f"unread {job.id}") if job.watches else None
        try:
            job.end(await work(job))
        except asyncio.CancelledError:
            # Of a change that was told to stop nobody knows how far it came; watching just ends.
            status = Status.DONE if job.watches else Status.UNKNOWN
            job.end(Outcome(status=status, detail="was stopped"))
        except errors.QuarterdeckError as error:
            sent = getattr(error, "sent", False) and not job.watches
            job.end(Outcome(status=Status.UNKNOWN if sent else Status.FAILED, detail=error.say()))
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("a job failed because of a bug", action=job.verb, ref=reference)
            job.end(Outcome(status=Status.UNKNOWN, detail=f"Internal error, reference {reference}."))
        finally:
            if idle is not None:
                idle.cancel()

    async def _unread(self, job: Job) -> None:
        while (quiet := time.monotonic() - job.read_at) < UNREAD:  # noqa: ASYNC110 (looks as late as it may)
            await asyncio.sleep(UNREAD - quiet + 0.01)
        if job.task is not None:
            job.task.cancel()

    async def _cancel(self, job: Job) -> None:
        if job.task is not None and not job.task.done():
            job.task.cancel()
            await asyncio.wait([job.task], timeout=ENDING)

    def _find(self, name: str) -> Job:
        self._sweep()
        job = self._jobs.get(name)
        if job is None:
            raise errors.NotFound(f"There is no job {name} on {self._engine()} any more.")
        return job

    def _sweep(self) -> None:
        now = time.monotonic()
        for name in [name for name, job in self._jobs.items() if job.ended_at and now - job.ended_at > KEPT_ENDED]:
            del self._jobs[name]


class Working(Adapter):
    """An adapter whose engine does things that outlive a call."""

    def __init__(self, ref: EngineRef, *, allow: Sequence[str] = ()) -> None:
        super().__init__(ref, allow=allow)
        self.jobs = Jobs(lambda: self.ref)

    @does(jobs.ReadJob)
    async def read_job(self, action: jobs.ReadJob, seconds: float) -> JobPage:
        return await self.jobs.read(action)

    @does(jobs.StopJob)
    async def stop_job(self, action: jobs.StopJob, seconds: float) -> Outcome:
        return await self.jobs.stop(action.job, action.who)

    @does(jobs.StopAnyJob)
    async def stop_any_job(self, action: jobs.StopAnyJob, seconds: float) -> Outcome:
        return await self.jobs.stop(action.job, None)

    async def aclose(self) -> None:
        await self.jobs.aclose()
        await super().aclose()
