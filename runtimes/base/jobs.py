"""Jobs of one engine: what outlives the call that began it. Begun by an adapter's method, read page by page, ended.

    async def scale(self, action, seconds):
        async def work(job: Job) -> Outcome:
            job.progress("2 of 3 run")
            ...
        return self.jobs.begin(action.verb, work)

Bounded throughout: so many jobs, so many lines each (older ones are let go and counted), so long kept after their end.
Lines are numbered as they are said; a cursor is the number of the next one to read, so none is read twice.
A job that only watches ends when nobody has read it for a while; one that changes something goes on unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from core import errors
from core.model import jobs
from core.model.jobs import JobPage, JobStarted
from core.model.refs import EngineRef
from core.model.replies import Status
from core.model.results import LogLine, Outcome
from runtimes.base import adapter
from runtimes.base.adapter import Adapter, does

log = structlog.get_logger(__name__)
MOST = 64  # under way at once; as many that ended are kept
# Of those that only watch: each holds a stream of the engine's client, which has sixteen, and others want to read too.
MOST_WATCHING = 10
EACH_WATCHING = 5  # of one person
KEPT_LINES, KEPT_TEXT = 1000, 1 << 20  # lines and characters of one job
PAGE, PAGE_TEXT = 200, 1 << 16  # lines and characters of one page
UNREAD = 30.0  # seconds after which a job that only watches is ended
KEPT_ENDED = 300.0  # seconds an ended job can still be read
ENDING = 5.0  # seconds a stopped job may take to end


class Job:
    """What the work writes to. `say` and `progress` never wait."""

    def __init__(self, id: str, verb: str, who: str, *, read_only: bool) -> None:  # noqa: A002
        self.id, self.verb, self.who, self.read_only = id, verb, who, read_only
        self.read_at = _now()
        self.ended_at: float | None = None
        self.task: asyncio.Task[None] | None = None
        self._why = "was stopped"
        self._lines: deque[tuple[int, LogLine]] = deque()
        self._size = 0  # characters of these
        self._said = 0  # lines ever said: the number of the next one
        self._progress = ""
        self._steps = 0
        self._outcome: Outcome | None = None
        self._news = asyncio.Event()

    def say(self, lines: Sequence[LogLine], dropped: int = 0) -> None:
        """`dropped`: lines before these that are not kept at all."""
        if not lines and not dropped:
            return
        self._said += dropped
        for line in lines:
            self._lines.append((self._said, line))
            self._said += 1
            self._size += len(line.text)
        while len(self._lines) > KEPT_LINES or (self._size > KEPT_TEXT and len(self._lines) > 1):
            self._size -= len(self._lines.popleft()[1].text)
        self._news.set()

    def progress(self, text: str) -> None:
        if text != self._progress:
            self._progress = text
            self._steps += 1
            self._news.set()

    def end(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome, self.ended_at = outcome, _now()
            self._news.set()

    async def cancel(self, why: str) -> bool:
        """False where it does not end in time."""
        if self.task is None or self.task.done():
            return True
        self._why = why
        self.task.cancel()
        await asyncio.wait([self.task], timeout=ENDING)
        return self.task.done()

    def aborted(self) -> None:
        """Of a change that was told to end nobody knows how far it came; watching just ends."""
        self.end(Outcome(status=Status.DONE if self.read_only else Status.UNKNOWN, detail=self._why))

    async def page(self, cursor: str, wait: float) -> JobPage:
        """What came after `cursor`, at once if there is something, else when there is or `wait` seconds are over."""
        at, steps = _place(cursor)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while self._said <= at and self._steps == steps and self._outcome is None:
                    self.read_at = _now()
                    self._news.clear()
                    await self._news.wait()
        self.read_at = _now()
        lines: list[LogLine] = []
        size, after = 0, self._said
        for number, line in self._lines:
            if number < at:
                continue
            size += len(line.text)
            if len(lines) == PAGE or (lines and size > PAGE_TEXT):
                after = number
                break
            lines.append(line)
        # Lines that were let go between these count as skipped with them.
        return JobPage(
            cursor=f"{after}/{self._steps}",
            lines=tuple(lines),
            skipped=max(0, after - at - len(lines)),
            progress=self._progress,
            outcome=self._outcome if after == self._said else None,
        )


def _place(cursor: str) -> tuple[int, int]:
    said, _, steps = (cursor or "0/0").partition("/")
    try:
        return int(said), int(steps)
    except ValueError:
        raise errors.InvalidResponse(f"“{cursor[:64]}” is not a valid position in the output of a job.") from None


def _now() -> float:
    """Seconds, of the loop: what waits here waits on its time."""
    return asyncio.get_running_loop().time()


class Jobs:
    def __init__(self, engine: Callable[[], EngineRef]) -> None:
        self._engine = engine
        self._jobs: dict[str, Job] = {}
        self.new_id: Callable[[], str] = _new_id

    def begin(self, verb: str, work: Callable[[Job], Awaitable[Outcome]], *, read_only: bool = False) -> JobStarted:
        """Raises Refused when too many are under way. `read_only`: it changes nothing, so it ends when nobody reads."""
        self._sweep()
        call = adapter.current_call()
        who = call.who if call else ""
        self._refuse_more(who, read_only)
        job = Job(self.new_id(), verb, who, read_only=read_only)
        self._jobs[job.id] = job
        job.task = asyncio.get_running_loop().create_task(self._run(job, work), name=f"job {verb} {job.id}")
        job.task.add_done_callback(lambda _: job.aborted())  # one that was stopped before it began has not said so
        return JobStarted(job=job.id)

    async def read(self, action: jobs.ReadJob) -> JobPage:
        return await self._find(action.job).page(action.cursor, action.wait)

    async def stop(self, name: str, who: str | None) -> Outcome:
        """`who`: only if they began it; None for whoever did."""
        job = self._find(name)
        if who is not None and job.who != who:
            raise errors.NotPermitted(
                "Somebody else started this job.", rule="own-job", hint="Ask them or an admin to stop it."
            )
        if job.ended_at is not None:
            return Outcome(status=Status.NOOP, detail="had ended already")
        if not await job.cancel("was stopped"):
            return Outcome(status=Status.UNKNOWN, detail=f"was told to end and has not within {ENDING:.0f} s")
        return Outcome(status=Status.DONE)

    async def aclose(self) -> None:
        await asyncio.gather(*(job.cancel("Quarterdeck was stopped") for job in self._jobs.values()))
        self._jobs.clear()

    def _refuse_more(self, who: str, read_only: bool) -> None:
        running = [job for job in self._jobs.values() if job.ended_at is None]
        watching = [job for job in running if job.read_only]
        if read_only and sum(job.who == who for job in watching) >= EACH_WATCHING:
            raise errors.Refused(
                f"You already follow {EACH_WATCHING} jobs on {self._engine()}, which is the limit.",
                hint="Stop one of them first.",
            )
        if len(running) >= MOST or (read_only and len(watching) >= MOST_WATCHING):
            count, doing = (len(watching), "followed") if len(running) < MOST else (len(running), "running")
            raise errors.Refused(
                f"{count} jobs on {self._engine()} are already {doing}, which is the limit.",
                hint="Wait for one of them to end.",
            )

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[Outcome]]) -> None:
        loop = asyncio.get_running_loop()
        idle = loop.create_task(self._unread(job), name=f"unread {job.id}") if job.read_only else None
        try:
            job.end(await work(job))
        except asyncio.CancelledError:
            job.aborted()
        except errors.QuarterdeckError as error:
            sent = getattr(error, "sent", False) and not job.read_only
            job.end(Outcome(status=Status.UNKNOWN if sent else Status.FAILED, detail=error.full_message()))
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("a job failed because of a bug", action=job.verb, ref=reference)
            status = Status.FAILED if job.read_only else Status.UNKNOWN
            job.end(Outcome(status=status, detail=f"Internal error, reference {reference}."))
        finally:
            if idle is not None:
                idle.cancel()

    async def _unread(self, job: Job) -> None:
        while (quiet := _now() - job.read_at) < UNREAD:  # noqa: ASYNC110 (looks as late as it may)
            await asyncio.sleep(UNREAD - quiet + 0.01)
        await job.cancel("nobody read it any more")

    def _find(self, name: str) -> Job:
        self._sweep()
        job = self._jobs.get(name)
        if job is None:
            raise errors.NotFound(
                f"There is no job {name} on {self._engine()}: it ended, or Quarterdeck was restarted."
            )
        return job

    def _sweep(self) -> None:
        now = _now()
        ended = [(job.ended_at, name) for name, job in self._jobs.items() if job.ended_at is not None]
        for number, (at, name) in enumerate(sorted(ended, reverse=True)):
            if number >= MOST or now - at > KEPT_ENDED:
                del self._jobs[name]


def _new_id() -> str:
    return secrets.token_hex(6)


PART_OF_WHAT_BEGAN = frozenset({jobs.ReadJob.verb, jobs.StopJob.verb, jobs.StopAnyJob.verb})


class JobAdapter(Adapter):
    """An adapter whose engine does things that outlive a call."""

    def __init__(self, ref: EngineRef, *, allow: Sequence[str] = ()) -> None:
        super().__init__(ref, allow=allow)
        self.jobs = Jobs(lambda: self.ref)

    def _allows(self, verb: str) -> bool:
        # Part of whatever its owner allowed to begin.
        return verb in PART_OF_WHAT_BEGAN or super()._allows(verb)

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
