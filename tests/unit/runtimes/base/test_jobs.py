"""What outlives its call, on fake loop time: pages, cursors, counts, ends and limits."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions
from core.model.background_jobs import ReadJob, StopAnyJob, StopJob
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.results import LogLine, Outcome
from core.ports import Call
from runtimes.base import jobs
from runtimes.base.base_adapter import does
from runtimes.base.jobs import (
    ENDED_SECONDS,
    MAX_JOB_LINES,
    MAX_JOBS,
    MAX_READ_ONLY_JOBS,
    MAX_READ_ONLY_PER_PERSON,
    PAGE_CHARACTERS,
    PAGE_LINES,
    UNREAD_SECONDS,
)

pytestmark = pytest.mark.looptime
ENGINE = EngineRef(host="h", kind="scripted")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="a" * 64, name="web")


class Engine(jobs.JobAdapter):
    """Follows by `work`, restarts by `work` too."""

    def __init__(self, work, allow=()):
        super().__init__(ENGINE, allow=allow)
        self.work = work

    @does(actions.ReadLogs)
    async def read_logs(self, action, seconds):
        return self.jobs.start(action.verb, self.work, read_only=True)

    @does(actions.Restart)
    async def restart(self, action, seconds):
        return self.jobs.start(action.verb, self.work)

    async def do(self, action, who="ann"):
        deadline = datetime.now(UTC) + timedelta(seconds=1000)
        return await self.run(action, Call(id="c", who=who, deadline=deadline, invocation="i"))

    async def follow(self, who="ann"):
        return (await self.do(actions.ReadLogs(engine=ENGINE, target=WEB, follow=True), who)).job

    async def change(self, who="ann"):
        return (await self.do(actions.Restart(engine=ENGINE, target=WEB), who)).job

    async def read(self, job, cursor="", wait=5.0):
        return await self.do(ReadJob(engine=ENGINE, job=job, cursor=cursor, wait=wait))


def lines(*numbers):
    return [LogLine(at="", stream="stdout", text=str(number)) for number in numbers]


def numbers(page):
    return [int(line.text) for line in page.lines]


async def forever(job):
    await asyncio.Event().wait()


async def test_each_line_is_read_once_and_in_order_and_the_end_comes_with_the_last():
    async def work(job):
        job.add_lines(lines(*range(PAGE_LINES + 50)))
        return Outcome(status=Status.DONE, detail="web has ended")

    engine = Engine(work)
    job = await engine.follow()
    first = await engine.read(job)
    assert (numbers(first), first.skipped, first.outcome) == (list(range(PAGE_LINES)), 0, None)
    second = await engine.read(job, first.cursor)
    assert numbers(second) == list(range(PAGE_LINES, PAGE_LINES + 50))
    assert second.outcome == Outcome(status=Status.DONE, detail="web has ended")
    again = await engine.read(job, second.cursor)
    assert (again.lines, again.skipped, again.outcome) == ((), 0, second.outcome)


async def test_what_nobody_read_in_time_is_counted_and_what_is_kept_is_not_lost():
    said = asyncio.Event()

    async def work(job):
        job.add_lines(lines(0, 1))
        await said.wait()
        job.add_lines(lines(*range(2, MAX_JOB_LINES + 12)))
        return await forever(job)

    engine = Engine(work)
    job = await engine.follow()
    page = await engine.read(job)
    assert numbers(page) == [0, 1]
    said.set()
    await asyncio.sleep(0.1)
    seen, skipped = [], 0
    while len(seen) < MAX_JOB_LINES:
        page = await engine.read(job, page.cursor)
        seen, skipped = seen + numbers(page), skipped + page.skipped
    assert seen == list(range(12, MAX_JOB_LINES + 12))
    assert skipped == 10
    await engine.aclose()


async def test_lines_dropped_in_between_are_counted_where_they_are_missing():
    async def work(job):
        job.add_lines(lines(0, 1, 2))
        job.add_lines(lines(8, 9), dropped=5)
        job.add_lines([], dropped=4)
        return await forever(job)

    engine = Engine(work)
    job = await engine.follow()
    whole = await engine.read(job)
    assert (numbers(whole), whole.skipped) == ([0, 1, 2, 8, 9], 9)
    # From the middle: nothing that was read comes again.
    rest = await engine.read(job, "2/0")
    assert (numbers(rest), rest.skipped) == ([2, 8, 9], 9)
    assert (await engine.read(job, whole.cursor, wait=0.1)).skipped == 0
    await engine.aclose()


async def test_long_lines_are_bounded_by_their_characters():
    async def work(job):
        job.add_lines([LogLine(at="", stream="stdout", text="x" * PAGE_CHARACTERS)] * 40)
        return Outcome(status=Status.DONE)

    engine = Engine(work)
    job = await engine.follow()
    page, pages = await engine.read(job), []
    while page.outcome is None:
        pages.append(page)
        page = await engine.read(job, page.cursor)
    pages.append(page)
    assert all(len(each.lines) == 1 for each in pages)
    assert len(pages) == jobs.MAX_JOB_CHARACTERS // PAGE_CHARACTERS
    assert sum(each.skipped for each in pages) == 40 - len(pages)


async def test_a_look_waits_for_news_and_no_longer_than_it_may():
    go = asyncio.Event()

    async def work(job):
        await go.wait()
        job.progress("1 of 3 run")
        return await forever(job)

    engine = Engine(work)
    job = await engine.change()
    clock = asyncio.get_running_loop().time
    began = clock()
    page = await engine.read(job, wait=2.0)
    assert clock() - began == pytest.approx(2.0, abs=0.01)
    asyncio.get_running_loop().call_later(1.0, go.set)
    page = await engine.read(job, page.cursor)
    assert clock() - began == pytest.approx(3.0, abs=0.01)
    assert page.progress == "1 of 3 run"
    await engine.aclose()


async def test_what_only_watches_ends_when_nobody_reads_and_a_change_does_not():
    engine = Engine(forever)
    watching, changing = await engine.follow(), await engine.change()
    await asyncio.sleep(UNREAD_SECONDS - 1)
    page = await engine.read(watching, wait=0.1)
    assert page.outcome is None
    await asyncio.sleep(UNREAD_SECONDS + 1)
    assert (await engine.read(watching)).outcome == Outcome(status=Status.DONE, detail="nobody read it any more")
    assert (await engine.read(changing, wait=0.1)).outcome is None
    await engine.aclose()


async def test_who_began_it_may_stop_it_and_nobody_else_unless_they_may_any():
    engine = Engine(forever)
    job = await engine.follow("ann")
    with pytest.raises(errors.NotPermitted, match="You may not stop the job .*: somebody else started it"):
        await engine.do(StopJob(engine=ENGINE, job=job, who="bob"), "bob")
    assert (await engine.do(StopJob(engine=ENGINE, job=job, who="ann"))).status == Status.DONE
    assert (await engine.do(StopJob(engine=ENGINE, job=job, who="ann"))).status == Status.NOOP
    assert (await engine.read(job)).outcome == Outcome(status=Status.DONE, detail="was stopped")
    other = await engine.follow("ann")
    assert (await engine.do(StopAnyJob(engine=ENGINE, job=other), "bob")).status == Status.DONE


async def test_a_change_that_is_stopped_ends_unknown():
    engine = Engine(forever)
    job = await engine.change()
    await engine.read(job, wait=0.1)
    await engine.do(StopJob(engine=ENGINE, job=job, who="ann"))
    assert (await engine.read(job)).outcome == Outcome(status=Status.UNKNOWN, detail="was stopped")


async def test_stopped_before_its_first_step_it_has_ended_all_the_same():
    engine = Engine(forever)
    begun = engine.jobs.start("x", forever)
    await engine.jobs.stop(begun.job, None)
    assert (await engine.read(begun.job)).outcome == Outcome(status=Status.UNKNOWN, detail="was stopped")


async def test_work_that_does_not_end_when_told_is_said_so():
    free = asyncio.Event()

    async def stubborn(job):
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        return Outcome(status=Status.DONE)

    engine = Engine(stubborn)
    job = await engine.change()
    await engine.read(job, wait=0.1)
    outcome = await engine.do(StopJob(engine=ENGINE, job=job, who="ann"))
    assert outcome.status == Status.UNKNOWN
    assert "did not end within 5 s" in outcome.detail
    free.set()
    assert (await engine.read(job)).outcome.status == Status.DONE


@pytest.mark.parametrize(
    ("error", "watched", "changed"),
    [
        (errors.Unreachable("The engine is gone.", sent=True), Status.FAILED, Status.UNKNOWN),
        (errors.Rejected(409, "no such driver"), Status.FAILED, Status.FAILED),
        (ZeroDivisionError("a bug"), Status.FAILED, Status.UNKNOWN),
    ],
)
async def test_a_failure_is_a_sentence(error, watched, changed):
    async def work(job):
        raise error

    engine = Engine(work)
    for begin, status in ((engine.follow, watched), (engine.change, changed)):
        outcome = (await engine.read(await begin())).outcome
        assert outcome.status == status
        assert outcome.detail.startswith(
            error.full_message() if isinstance(error, errors.QuarterdeckError) else "Internal error, reference "
        )


async def test_who_follows_leaves_room_for_others_and_ended_jobs_take_none():
    engine = Engine(forever)
    for _ in range(MAX_READ_ONLY_PER_PERSON):
        job = await engine.follow("ann")
    with pytest.raises(errors.Refused, match=f"follow logs or events in {MAX_READ_ONLY_PER_PERSON} jobs on scripted/h"):
        await engine.follow("ann")
    for number in range(MAX_READ_ONLY_JOBS - MAX_READ_ONLY_PER_PERSON):
        await engine.follow(f"guest {number}")
    with pytest.raises(
        errors.Refused, match=f"because {MAX_READ_ONLY_JOBS} jobs that follow logs or events run on scripted/h already"
    ):
        await engine.follow("bob")
    await engine.do(StopJob(engine=ENGINE, job=job, who="ann"))
    await engine.follow("bob")
    for _ in range(MAX_JOBS - MAX_READ_ONLY_JOBS):
        await engine.change()
    with pytest.raises(errors.Refused, match=f"because {MAX_JOBS} jobs run on scripted/h already"):
        await engine.change()
    await engine.aclose()


async def test_an_ended_job_can_be_read_for_a_while_and_the_oldest_make_room():
    async def at_once(job):
        return Outcome(status=Status.DONE)

    engine = Engine(at_once)
    first = await engine.change()
    assert (await engine.read(first)).outcome is not None
    await asyncio.sleep(ENDED_SECONDS + 1)
    with pytest.raises(errors.NotFound, match=f"no job {first} on scripted/h: it ended"):
        await engine.read(first)
    begun = []
    for _ in range(MAX_JOBS + 5):
        begun.append(await engine.change())
        assert (await engine.read(begun[-1])).outcome is not None
        await asyncio.sleep(0.01)
    with pytest.raises(errors.NotFound):
        await engine.read(begun[0])
    assert (await engine.read(begun[-1])).outcome is not None


async def test_closing_the_engine_ends_them_all():
    engine = Engine(forever)
    for _ in range(3):
        await engine.follow()
    await asyncio.sleep(0)
    await engine.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("job ", "unread "))]


async def test_reading_and_stopping_are_part_of_what_the_host_allows_to_begin():
    engine = Engine(forever, allow=("container.logs",))
    job = await engine.follow()
    assert (await engine.read(job, wait=0.1)).outcome is None
    assert (await engine.do(StopJob(engine=ENGINE, job=job, who="ann"))).status == Status.DONE
    with pytest.raises(errors.Disallowed):
        await engine.change()


async def test_a_place_that_is_none_is_refused():
    engine = Engine(forever)
    job = await engine.change()
    with pytest.raises(errors.InvalidResponse):
        await engine.read(job, "x/y")
    await engine.aclose()
