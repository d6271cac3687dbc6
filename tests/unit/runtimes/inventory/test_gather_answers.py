"""A hung engine costs only its own rows: commands wait two seconds for it, and not at all once it is known."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collectors import engine_watcher
from collectors.event_processor import EventProcessor
from core import errors
from core.metrics import Metrics
from core.model.actions import DescribeEngine, ListContainers, ListServices
from core.ports import Call, Query
from runtimes.inventory import gather_answers
from runtimes.inventory.fleet import Fleet, resolve
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.watch_records import WatchRecords

pytestmark = pytest.mark.looptime
HUNG = 10_000.0  # seconds


def now() -> float:
    return asyncio.get_running_loop().time()


def call(seconds: float = 60.0) -> Call:
    return Call(id="c", who="ann", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="i")


class Bench:
    """Engines on loop time, each with a mirror that is watched."""

    def __init__(self, *names: str) -> None:
        self.engines = [FakeRuntime(name, now=self.now) for name in names]
        self.mirrors = [Mirror(engine, now=self.now) for engine in self.engines]
        self.fleet = Fleet(self.mirrors)

    def now(self) -> float:
        return 1_700_000_000 + now()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        tasks = []
        for engine, mirror in zip(self.engines, self.mirrors, strict=True):
            counts = Metrics()
            parts = (engine, mirror, EventProcessor(mirror, counts), WatchRecords(), counts)
            watch = engine_watcher.EngineWatcher(
                *parts, now_ns=lambda: int(self.now() * 1e9), random_fraction=lambda: 1.0
            )
            tasks.append(asyncio.ensure_future(watch.run()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(300):
            while not true():
                await asyncio.sleep(0.05)


async def answer_after(seconds: float, value: Any) -> Any:
    await asyncio.sleep(seconds)
    return value


@pytest.mark.parametrize(
    ("answers", "wanted", "took"),
    [
        ({"a": 0, "b": HUNG}, ["a", "late 1"], 2),
        ({"a": HUNG, "b": 1, "c": 2.5}, ["late 0", "b", "c"], 4.5),
        ({"a": 1, "b": 3.5}, ["a", "late 1"], 3),
        ({"a": 5, "b": 6.5}, ["a", "b"], 6.5),
        ({"bad": 0, "b": 7}, ["bad", "b"], 7),  # an error is no sign that engines are fast
        ({"a": 9}, ["a"], 9),
        ({}, [], 0),
    ],
)
async def test_the_slow_have_two_seconds_after_the_last_answer(answers: Any, wanted: Any, took: float) -> None:
    async def late(number: int) -> str:
        return f"late {number}"

    found = await gather_answers.gather_answers(
        [lambda value=value, after=after: answer_after(after, value) for value, after in answers.items()],
        complete=lambda value: value != "bad",
        late=late,
    )
    assert found == wanted
    assert now() == pytest.approx(took)
    assert len(asyncio.all_tasks()) == 1


async def test_questions_end_with_their_asker() -> None:
    ended = []

    async def question() -> None:
        try:
            await asyncio.sleep(HUNG)
        finally:
            ended.append(True)

    async def late(number: int) -> None:
        raise AssertionError

    task = asyncio.ensure_future(
        gather_answers.gather_answers([question, question], complete=lambda _: True, late=late)
    )
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True, True]


async def test_a_hung_engine_is_waited_for_two_seconds_and_its_last_rows_are_listed() -> None:
    bench = Bench("h1", "h2", "h3")
    for number, engine in enumerate(bench.engines):
        engine.add(f"web{number}")
    async with bench.watching():
        await bench.until(lambda: all(mirror.live for mirror in bench.mirrors))
        bench.mirrors[1].stream_lost("It was lost.")  # not yet known to be silent
        bench.engines[1].slow = HUNG
        began = now()
        listed = await bench.fleet.list_rows(Query(), call())
        assert now() - began == pytest.approx(2)
        assert {row.ref.name for row in listed.rows} == {"web0", "web1", "web2"}
        assert list(listed.missing) == [bench.engines[1].ref] == list(listed.ages)
        assert "did not answer within 2 s after the other engines" in listed.missing[bench.engines[1].ref].message
        (row,) = resolve(Query(names=("web0",)), listed, lambda row: True)
        assert row.ref.engine == bench.engines[0].ref
        fresh = await bench.fleet.list_rows(Query(), call(), fresh=True)
        assert {row.ref.name for row in fresh.rows} == {"web0", "web2"}
        assert list(fresh.missing) == [bench.engines[1].ref]


async def test_an_engine_known_to_be_silent_is_answered_for_at_once_with_its_age() -> None:
    bench = Bench("h1", "h2")
    bench.engines[1].add("web")
    silent = bench.mirrors[1]
    async with bench.watching():
        await bench.until(lambda: all(mirror.live for mirror in bench.mirrors))
        described = await silent.run(DescribeEngine(engine=silent.ref), call())
        bench.engines[1].slow = HUNG
        bench.engines[1].cut()
        await bench.until(lambda: silent.silence)
        asked, began = len(bench.engines[1].asked), now()
        listed = await silent.run(ListContainers(engine=silent.ref), call())
        assert [row.ref.name for row in listed.rows] == ["web"]
        assert (listed.source, listed.age > 0) == ("mirror", True)
        assert "did not answer" in listed.missing
        engine = await silent.run(DescribeEngine(engine=silent.ref), call())
        assert (engine.version, engine.stream) == (described.version, "down")
        assert "did not answer" in engine.fault
        with pytest.raises(errors.TimedOut):
            await silent.run(ListServices(engine=silent.ref), call())
        everywhere = await bench.fleet.list_rows(Query(), call())
        assert list(everywhere.missing) == [silent.ref]
        assert now() == began
        assert len(bench.engines[1].asked) == asked
        with pytest.raises(errors.TimedOut):  # whoever insists, asks
            await silent.run(ListContainers(engine=silent.ref, fresh=True), call())
        assert now() > began
        bench.engines[1].slow = 0
        await bench.until(lambda: silent.live)
        assert silent.silence is None
        assert not (await silent.run(ListContainers(engine=silent.ref), call())).missing


async def test_an_engine_that_never_answered_is_an_error_at_once() -> None:
    bench = Bench("h1")
    bench.engines[0].reachable = False
    async with bench.watching():
        await bench.until(lambda: bench.mirrors[0].silence)
        began = now()
        with pytest.raises(errors.Unreachable, match="does not answer"):
            await bench.mirrors[0].run(ListContainers(engine=bench.mirrors[0].ref), call())
        described = await bench.mirrors[0].run(DescribeEngine(engine=bench.mirrors[0].ref), call())
        assert "does not answer" in described.fault and "container.list" in described.verbs
        assert now() == began


async def test_an_engine_without_a_stream_that_lists_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("h1")

    async def refused(since_ns: int | None) -> AsyncIterator[Any]:
        raise errors.Unreachable("The proxy closed the stream.")
        yield

    monkeypatch.setattr(bench.engines[0], "_stream_events", refused)
    bench.engines[0].add("web")
    async with bench.watching():
        await asyncio.sleep(100)
        assert bench.mirrors[0].silence is None
        listed = await bench.mirrors[0].run(ListContainers(engine=bench.mirrors[0].ref), call())
        assert (listed.source, listed.missing, len(listed.rows)) == ("engine", "", 1)


async def test_somebody_who_asks_makes_the_watcher_try_again_soon() -> None:
    bench = Bench("h1")
    mirror, engine = bench.mirrors[0], bench.engines[0]
    async with bench.watching():
        await bench.until(lambda: mirror.live)
        engine.reachable = False
        engine.cut()
        await asyncio.sleep(200)  # by now the pauses are long
        await bench.until(lambda: mirror.silence)
        engine.reachable = True
        began = now()
        with contextlib.suppress(errors.EngineError):
            await mirror.run(ListContainers(engine=mirror.ref), call())
        await bench.until(lambda: mirror.live)
        assert now() - began < 5
