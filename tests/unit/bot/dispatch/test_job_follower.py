"""What goes on, read to its end, on fake loop time: a scripted engine, a store in a dict, a talk that notes."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot.dispatch import job_follower
from core import errors
from core.model import actions
from core.model.background_jobs import FollowResult, StopAnyJob, StopJob
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.results import LogLine, Outcome
from core.ports import Call
from runtimes.base import jobs
from runtimes.base.base_adapter import does
from runtimes.inventory.fleet import Fleet

pytestmark = pytest.mark.looptime
ENGINE = EngineRef(host="h", kind="scripted")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="a" * 64, name="web")
KEY = [
    "-----BEGIN RSA PRIVATE KEY-----",
    *("abcdefgh" * 8 for _ in range(12)),
    "c2hvcnQ=",
    "-----END RSA PRIVATE KEY-----",
]


class Engine(jobs.JobAdapter):
    """`unread` is raised by the reading of a job once it is set."""

    def __init__(self, work):
        super().__init__(ENGINE)
        self.work, self.unread = work, None

    @does(actions.ReadLogs)
    async def read_logs(self, action, seconds):
        return self.jobs.start(action.verb, self.work, read_only=True)

    @does(actions.Restart)
    async def restart(self, action, seconds):
        return self.jobs.start(action.verb, self.work)

    async def run(self, action, call):
        if action.verb == "job.read" and self.unread is not None:
            raise self.unread
        return await super().run(action, call)


class Store:
    """What `core.store.Store` keeps of jobs; `down` as when it is away."""

    def __init__(self):
        self.jobs, self.wishes, self.down = {}, set(), False

    async def renew_job(self, job, who, ttl):
        if self.down:
            raise errors.StoreDown
        self.jobs[job] = who
        wished = job in self.wishes
        self.wishes.discard(job)
        return wished

    async def forget_job(self, job):
        self.jobs.pop(job, None)

    async def job_owner(self, job):
        return self.jobs.get(job)

    async def request_stop(self, job, ttl):
        self.wishes.add(job)


class Responder:
    def __init__(self, hears=True):
        self.heard, self.hears = [], hears

    def started(self, beginning):
        pass

    def progress(self, going):
        self.heard.append(going)
        return self.hears

    async def finish(self, reply):
        pass

    @property
    def lines(self):
        return [line for going in self.heard for line in going.lines]


class Reader:
    """One replica that follows."""

    def __init__(self, work, *, seconds=3600.0, talk=None):
        self.engine, self.store, self.talk = Engine(work), Store(), talk or Responder()
        self.fleet, self.stopping = Fleet([self.engine]), asyncio.Event()
        self.seconds = seconds
        self.refused, self.away = "", False

    def call(self, who="ann"):
        deadline = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return Call(id="c", who=who, deadline=deadline, invocation="i")

    async def read(self, *, change=False):
        kind = actions.Restart(engine=ENGINE, target=WEB) if change else actions.ReadLogs(engine=ENGINE, target=WEB)
        call = self.call()
        # Begun in time, however little of it is left.
        begin = (
            self.call()
            if self.seconds > 0
            else Call(id="c", who="ann", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="i")
        )
        started = await self.fleet.run(kind, begin)
        return await job_follower.follow_job(
            self.fleet,
            self.store,
            kind,
            started,
            call=call,
            responder=self.talk,
            everyone=False,
            stopping=self.stopping,
            refusal=self.refusal,
        )

    async def refusal(self):
        if self.away:
            raise errors.StoreDown
        return self.refused

    def streams(self):
        return [task for task in asyncio.all_tasks() if task.get_name().startswith("job ")]


def lines(*texts):
    return [LogLine(at="", stream="stdout", text=text) for text in texts]


async def forever(job):
    await asyncio.Event().wait()


async def test_a_log_is_told_as_it_comes_and_ends_with_its_container():
    async def work(job):
        job.add_lines(lines("one"))
        await asyncio.sleep(5)
        job.add_lines(lines("two", "password=hunter2"))
        await asyncio.sleep(5)
        job.add_lines(lines("last"))
        return Outcome(status=Status.DONE, detail="web has ended")

    reader = Reader(work)
    end = await reader.read()
    assert reader.talk.lines == ["one", "two", "password=••••", "last"]
    assert (end.lines, end.skipped, end.why, end.failed) == (4, 0, "web has ended", False)
    assert end.seconds == pytest.approx(10, abs=0.5)
    assert {going.read_only for going in reader.talk.heard} == {True}
    assert reader.talk.heard[0].stop.startswith("job stop ")
    assert reader.talk.heard[0].stop.endswith("@scripted/h")
    assert reader.store.jobs == {}


async def test_a_silent_log_is_told_once_so_that_it_can_be_stopped():
    reader = Reader(forever)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(20)
    assert [(going.lines, bool(going.stop)) for going in reader.talk.heard] == [([], True)]
    reader.stopping.set()
    assert (await reading).why == "Quarterdeck is stopping"


async def test_ten_minutes_end_in_a_sentence_even_where_the_invocation_has_less():
    reader = Reader(forever, seconds=-1)
    end = await reader.read()
    assert end.why == "a log is followed for 10 minutes at most"
    assert 600 < end.seconds < 602
    assert not reader.streams()  # it was ended on its engine too


async def test_what_comes_too_fast_is_counted_and_looks_stay_few():
    async def work(job):
        for number in range(200):
            job.add_lines(lines(*(f"{number} {at}" for at in range(100))))
            await asyncio.sleep(0.01)
        return Outcome(status=Status.DONE, detail="web has ended")

    reader = Reader(work)
    end = await reader.read()
    assert end.lines == 20_000
    assert end.skipped == 20_000 - len(reader.talk.lines) > 5_000
    assert sum(going.skipped for going in reader.talk.heard) == end.skipped
    assert len(reader.talk.heard) <= 2.0 / job_follower.PAUSE_SECONDS + 10
    assert reader.talk.lines[-1] == "199 99"  # the last words are not among what is left out


@pytest.mark.parametrize("at", [1, 5, 13, 14])
async def test_a_key_that_comes_in_bits_stays_hidden(at):
    async def work(job):
        job.add_lines(lines("before", *KEY[:at]))
        await asyncio.sleep(2)
        job.add_lines(lines(*KEY[at:], "after"))
        return Outcome(status=Status.DONE, detail="web has ended")

    reader = Reader(work)
    await reader.read()
    said = "\n".join(reader.talk.lines)
    assert "abcdefgh" not in said
    assert "c2hvcnQ" not in said
    assert said.startswith("before\n")
    assert said.endswith("after")


async def test_a_log_that_fails_at_once_is_an_error_and_later_a_failed_end():
    async def at_once(job):
        raise errors.NotFound("web is gone.")

    with pytest.raises(errors.EngineError, match="web is gone"):
        await Reader(at_once).read()

    async def later(job):
        job.add_lines(lines("one"))
        raise errors.Unreachable("The engine broke off.", hint="Does it run?")

    end = await Reader(later).read()
    assert (end.lines, end.why, end.failed) == (1, "The engine broke off. Does it run?", True)


async def test_a_page_that_cannot_be_read_is_unknown_for_a_change_and_a_failed_end_for_a_log():
    async def work(job):
        job.add_lines(lines("one"))
        await forever(job)

    reader = Reader(work)
    reading = asyncio.create_task(reader.read(change=True))
    await asyncio.sleep(3)
    reader.engine.unread = errors.Unreachable("The host does not answer.", sent=False)
    assert await reading == Outcome(
        status=Status.UNKNOWN, detail="The job started, but its end is not known: The host does not answer."
    )

    reader = Reader(work)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(3)
    reader.engine.unread = errors.Unreachable("The host does not answer.", sent=False)
    end = await reading
    assert isinstance(end, FollowResult)
    assert (end.lines, end.why, end.failed) == (1, "The host does not answer.", True)
    await reader.engine.aclose()


async def test_a_change_tells_its_progress_and_gives_its_outcome():
    async def work(job):
        for number in range(3):
            job.progress(f"{number} of 3 run")
            await asyncio.sleep(2)
        return Outcome(status=Status.DONE, detail="3 of 3 run")

    reader = Reader(work)
    assert await reader.read(change=True) == Outcome(status=Status.DONE, detail="3 of 3 run")
    assert [going.progress for going in reader.talk.heard] == ["0 of 3 run", "1 of 3 run", "2 of 3 run"]
    assert {going.read_only for going in reader.talk.heard} == {False}


async def test_a_change_whose_time_is_over_is_unknown_and_goes_on():
    reader = Reader(forever, seconds=-1)
    assert (await reader.read(change=True)).detail == "The job did not end in time. It may still be running."
    assert reader.streams()
    await reader.engine.aclose()


async def test_a_change_under_way_when_quarterdeck_stops_is_said_unknown_in_time():
    reader = Reader(forever)
    reading = asyncio.create_task(reader.read(change=True))
    await asyncio.sleep(3)
    reader.stopping.set()
    began = asyncio.get_running_loop().time()
    assert (await reading).status == Status.UNKNOWN
    assert asyncio.get_running_loop().time() - began < 8
    await reader.engine.aclose()


async def test_when_nobody_can_be_told_the_log_ends_and_a_change_does_not():
    async def work(job):
        job.add_lines(lines("one"))
        await asyncio.sleep(10)
        return Outcome(status=Status.DONE)

    reader = Reader(work, talk=Responder(hears=False))
    assert (await reader.read()).why == "its lines could not be shown"
    assert not reader.streams()
    assert (await Reader(work, talk=Responder(hears=False)).read(change=True)).status == Status.DONE


async def test_who_is_broken_off_leaves_nothing_behind():
    reader = Reader(forever)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(3)
    assert reader.store.jobs
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert not reader.streams()
    assert reader.store.jobs == {}


async def test_another_process_stops_it_through_the_store():
    reader = Reader(forever)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(3)
    (key,) = reader.store.jobs
    job = key.rpartition("/")[2]
    elsewhere = Fleet([Engine(forever)])
    with pytest.raises(errors.NotPermitted, match="You may not stop the job .*: somebody else started it"):
        await job_follower.stop_job(
            elsewhere, reader.store, StopJob(engine=ENGINE, job=job, who="bob"), reader.call("bob")
        )
    asked = await job_follower.stop_job(
        elsewhere, reader.store, StopJob(engine=ENGINE, job=job, who="ann"), reader.call()
    )
    assert asked.status == Status.DONE
    assert (await reading).why == "was stopped"
    with pytest.raises(errors.NotFound, match="it ended"):
        await job_follower.stop_job(elsewhere, reader.store, StopJob(engine=ENGINE, job=job, who="ann"), reader.call())


async def test_who_may_stop_any_does_so_from_another_process_too():
    reader = Reader(forever)
    reading = asyncio.create_task(reader.read(change=True))
    await asyncio.sleep(3)
    (key,) = reader.store.jobs
    action = StopAnyJob(engine=ENGINE, job=key.rpartition("/")[2])
    assert (
        await job_follower.stop_job(Fleet([Engine(forever)]), reader.store, action, reader.call("bob"))
    ).status == Status.DONE
    assert await reading == Outcome(status=Status.UNKNOWN, detail="was stopped")


async def test_a_store_that_is_away_does_not_end_it():
    reader = Reader(forever)
    reader.store.down = True
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(30)
    assert not reading.done()
    reader.stopping.set()
    await reading


async def test_a_log_ends_when_its_requester_loses_the_permission():
    async def work(job):
        while True:
            job.add_lines(lines("more"))
            await asyncio.sleep(1)

    reader = Reader(work)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(10)
    reader.away = True  # the store does not answer: the last policy stays
    await asyncio.sleep(10)
    assert not reading.done()
    reader.away, reader.refused = False, "the permission was taken away: Nobody granted you container.logs on web."
    end = await reading
    assert "was taken away: Nobody granted you container.logs" in end.why
    assert end.lines == len(reader.talk.lines) <= 24
    assert not reader.streams()  # it was ended on its engine too


async def test_a_change_is_stopped_when_its_requester_loses_the_permission():
    reader = Reader(forever)
    reading = asyncio.create_task(reader.read(change=True))
    await asyncio.sleep(10)
    reader.refused = "Nobody granted you image.pull."
    end = await reading
    assert end.status == Status.UNKNOWN
    assert "stopped halfway" in end.detail and "image.pull" in end.detail
    assert not reader.streams()
