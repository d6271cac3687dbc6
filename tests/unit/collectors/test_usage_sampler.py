"""The readings of usage: what is asked, how often, and what a failure costs."""

from __future__ import annotations

from typing import Any

import pytest

from collectors import usage_sampler
from core import errors, metrics
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_usage import ReadUsage, Usage, Usages
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime

ENGINE = EngineRef(kind="docker", host="host7")


class Engine(FakeRuntime):
    """`answers`: what ReadUsage returns or raises, one after the other; the last one is repeated."""

    def __init__(self, *answers: Usages | Exception) -> None:
        super().__init__("host7", kind="docker")
        self.answers = list(answers)
        self.asked: list[ReadUsage] = []

    async def run(self, action: Any, call: Any) -> Any:
        assert isinstance(action, ReadUsage)
        self.asked.append(action)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def row(name: str, state: str = "running") -> Container:
    ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=name * 64, name=name)
    return Container(
        ref=ref, image="i", image_id="", command="", state=state, status="", created_at=1.0, labels={}, restarts=0
    )


class Bench:
    def __init__(self, engine: Engine, *rows: Container) -> None:
        self.engine = engine
        self.mirror = Mirror(engine)
        self.mirror.stream_opened(0)
        self.mirror.replace(rows, 1)
        self.counts = metrics.Metrics()
        self.times = [0.0]
        self.sampler = usage_sampler.UsageSampler(self.mirror, self.counts, clock=self.clock)

    def clock(self) -> float:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


async def test_the_running_containers_are_read_and_their_readings_stored() -> None:
    web, db, old = row("a"), row("b", "paused"), row("c", "exited")
    answer = Usages(rows=(Usage(ref=web.ref, memory=5),), from_kernel=True)
    bench = Bench(Engine(answer), web, db, old)
    assert await bench.sampler.sample() == usage_sampler.INTERVAL_SECONDS
    assert bench.engine.asked[0].running == (web.ref, db.ref)
    assert bench.mirror.usage.latest == {web.ref.id: answer.rows[0]}
    assert bench.mirror.usage.interval == usage_sampler.INTERVAL_SECONDS


async def test_an_engine_that_has_to_answer_itself_is_asked_less_often() -> None:
    bench = Bench(Engine(Usages(rows=())), row("a"))
    assert await bench.sampler.sample() == usage_sampler.ENGINE_INTERVAL_SECONDS
    bench.times = [0.0, 6.0]
    assert await bench.sampler.sample() == 300.0 - 6.0
    labels = metrics.engine_labels(bench.mirror.ref)
    assert bench.counts.usage_interval_seconds.labels(*labels)._value.get() == 300.0


async def test_nothing_is_asked_if_nothing_runs_or_the_mirror_is_not_live() -> None:
    bench = Bench(Engine(Usages(rows=())), row("a", "exited"))
    assert await bench.sampler.sample() == usage_sampler.INTERVAL_SECONDS
    bench.mirror.replace([row("a")], 2)
    bench.mirror.stream_lost()
    await bench.sampler.sample()
    assert bench.engine.asked == []


async def test_a_failure_keeps_the_last_reading_is_logged_once_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    web = row("a")
    fault = errors.Unreachable("docker/host7 does not answer.")
    good = Usages(rows=(Usage(ref=web.ref, memory=5),), from_kernel=True)
    bench = Bench(Engine(good, fault, fault, good), web)
    await bench.sampler.sample()
    at = bench.mirror.usage.read_at
    assert await bench.sampler.sample() == usage_sampler.ENGINE_INTERVAL_SECONDS
    assert await bench.sampler.sample() == usage_sampler.ENGINE_INTERVAL_SECONDS
    assert bench.mirror.usage.read_at == at and bench.mirror.usage.latest
    assert await bench.sampler.sample() == usage_sampler.INTERVAL_SECONDS
