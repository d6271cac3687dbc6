"""A followed log, held against each engine and the fake: its tail, what comes, its end, its stop, a broken engine."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions
from core.model.background_jobs import ReadJob, StopJob
from core.model.events import EventKind
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from tests.contract.grounds import FIELDS, capable
from tests.fake_engine.engine import FakeRuntime

LOOP = 'i=0; while :; do while [ ! -e "/go$i" ]; do sleep 0.02; done; echo "line $i"; i=$((i+1)); done'


class Real:
    """A container on a real engine, whose lines this test calls for."""

    def __init__(self, kind, daemon):
        self.daemon = daemon
        self.runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind=kind, url=daemon.url))
        self.said = 0

    async def run(self, lines):
        said = "; ".join(f"echo old {number}" for number in range(lines)) or ":"
        # As an init of its own it would not die of TERM.
        await asyncio.to_thread(self.daemon.run, "web", f"trap 'exit 3' TERM; {said}; {LOOP}")
        rows = (await do(self, actions.ListContainers(engine=self.runtime.ref))).rows
        action = actions.ReadLogs(engine=self.runtime.ref, target=rows[0].ref)
        while len((await do(self, action)).lines) < lines:
            await asyncio.sleep(0.02)

    async def say(self):
        command = ["/bin/sh", "-c", f": > /go{self.said}"]
        self.said += 1
        await asyncio.to_thread(self.daemon.exec, "web", command)

    async def end(self):
        await asyncio.to_thread(self.daemon.stop, "web")

    async def remove(self):
        await asyncio.to_thread(self.daemon.remove, "web")

    def streams(self):
        return len(client._streaming) if (client := getattr(self.runtime, "_http", None)) else 0


class Fake:
    def __init__(self):
        self.runtime = FakeRuntime()
        self.ref, self.said = None, 0

    async def run(self, lines):
        self.ref = self.runtime.add("web", log=[f"old {number}" for number in range(lines)])

    async def say(self):
        self.runtime.say(self.ref, f"line {self.said}")
        self.said += 1

    async def end(self):
        self.runtime.happen(EventKind.DIED, self.ref, exit_code="3")

    async def remove(self):
        self.runtime.happen(EventKind.REMOVED, self.ref)

    def streams(self):
        return 0


@pytest.fixture(params=[*(name for name in capable(actions.ReadLogs) if not FIELDS[name].ssh), "fake"])
async def ground(request):
    field = FIELDS.get(request.param)
    made = Real(field.kind, request.getfixturevalue(field.fixture)) if field else Fake()
    yield made
    await made.runtime.aclose()


async def do(ground, action):
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    return await ground.runtime.run(action, Call(id="t", who="ann", deadline=deadline, invocation="t"))


class Reading:
    """A job, and all that was read of it."""

    def __init__(self, ground):
        self.ground, self.job, self.cursor, self.lines, self.outcome = ground, "", "", [], None
        self.name = ""

    async def begin(self, tail=10):
        engine = self.ground.runtime.ref
        rows = await do(self.ground, actions.ListContainers(engine=engine))
        (target,) = [row.ref for row in rows.rows if row.ref.name.endswith("web")]
        self.name = target.name
        engine = self.ground.runtime.ref
        action = actions.ReadLogs(engine=engine, target=target, tail=tail, follow=True)
        self.job = (await do(self.ground, action)).job
        return self

    async def until(self, true):
        async with asyncio.timeout(60):
            while not true(self):
                action = ReadJob(engine=self.ground.runtime.ref, job=self.job, cursor=self.cursor, wait=1.0)
                page = await do(self.ground, action)
                self.cursor, self.outcome = page.cursor, page.outcome
                self.lines += [line.text for line in page.lines]
        return self

    async def to_its_end(self):
        return await self.until(lambda reading: reading.outcome is not None)


async def test_the_last_lines_come_first_and_then_what_is_new(ground):
    await ground.run(5)
    reading = await Reading(ground).begin(tail=2)
    await reading.until(lambda reading: len(reading.lines) >= 2)
    for _ in range(3):
        await ground.say()
    await reading.until(lambda reading: len(reading.lines) >= 5)
    assert reading.lines == ["old 3", "old 4", "line 0", "line 1", "line 2"]
    assert reading.outcome is None


async def test_it_ends_with_its_container_and_tells_the_code(ground):
    await ground.run(1)
    reading = await Reading(ground).begin()
    await reading.until(lambda reading: reading.lines)
    await ground.end()
    await reading.to_its_end()
    assert reading.outcome.status == Status.DONE
    assert reading.outcome.detail == f"{reading.name} has ended with code 3"


async def test_it_ends_when_its_container_is_removed(ground):
    await ground.run(1)
    reading = await Reading(ground).begin()
    await reading.until(lambda reading: reading.lines)
    await ground.remove()
    await reading.to_its_end()
    assert reading.outcome.status == Status.DONE
    # An engine that is still at it may have the container for another moment.
    assert reading.outcome.detail in (f"{reading.name} was removed", f"{reading.name} has ended with code 137")


async def test_the_log_of_what_does_not_run_is_shown_and_ends(ground):
    await ground.run(3)
    await ground.end()
    reading = await (await Reading(ground).begin(tail=2)).to_its_end()
    assert reading.lines == ["old 1", "old 2"]
    assert reading.outcome.detail == f"{reading.name} has ended with code 3"


async def test_stopped_it_leaves_the_engine_alone(ground):
    await ground.run(1)
    reading = await Reading(ground).begin()
    await reading.until(lambda reading: reading.lines)
    await do(ground, StopJob(engine=ground.runtime.ref, job=reading.job, who="ann"))
    assert ground.streams() == 0
    await reading.to_its_end()
    assert (reading.outcome.status, reading.outcome.detail) == (Status.DONE, "was stopped")


async def test_what_is_gone_already_is_a_sentence(ground):
    await ground.run(0)
    rows = await do(ground, actions.ListContainers(engine=ground.runtime.ref))
    await ground.remove()
    action = actions.ReadLogs(engine=ground.runtime.ref, target=rows.rows[0].ref, follow=True)
    try:
        reading = Reading(ground)
        reading.job = (await do(ground, action)).job
        said = (await reading.to_its_end()).outcome.detail
        assert reading.outcome.status == Status.FAILED
    except errors.NotFound as error:
        said = error.full_message()
    assert f"has no container {rows.rows[0].ref.name}" in said


async def test_an_engine_that_breaks_off_is_no_end_of_the_container():
    ground = Fake()
    await ground.run(1)
    reading = await Reading(ground).begin()
    await reading.until(lambda reading: reading.lines)
    ground.runtime.reachable = False
    ground.runtime.cut()
    await reading.to_its_end()
    assert reading.outcome.status == Status.FAILED
    assert "The log of web ended early" in reading.outcome.detail
    await ground.runtime.aclose()
