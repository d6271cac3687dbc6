"""Alerts about an engine end when no process has watched it for a while, and not before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bot.notify.removed_engines import CHECK_SECONDS, REMOVED_SECONDS, RemovedEngineCheck
from core.model.refs import EngineRef
from core.store.client import Store

OLD, HERE = EngineRef(host="old", kind="docker"), EngineRef(host="h1", kind="docker")


class Scene:
    def __init__(self, url: str) -> None:
        self.store = Store.open(url)
        self.seconds = 1_000_000.0
        self.alerts_about = {OLD, HERE}
        self.ended: list[EngineRef] = []
        self.fault = ""

    def process(self, *engines: EngineRef) -> RemovedEngineCheck:
        alerts = SimpleNamespace(engines=lambda: frozenset(self.alerts_about), end_alerts_of=self.ended.append)
        mirrors = [SimpleNamespace(ref=each) for each in engines]
        return RemovedEngineCheck(
            self.store, alerts, lambda: mirrors, lambda mirror: self.fault, now=lambda: self.seconds
        )

    async def wait(self, seconds: float, *processes: RemovedEngineCheck) -> None:
        until = self.seconds + seconds
        while self.seconds < until:
            self.seconds += CHECK_SECONDS
            for each in processes:
                await each.check_once()


@pytest.fixture
async def scene(valkey):
    made = Scene(valkey.url)
    yield made
    await made.store.aclose()


async def test_an_engine_that_was_taken_out_of_the_configuration_ends_its_alerts(scene):
    before, after = scene.process(OLD, HERE), scene.process(HERE)
    await scene.wait(60, before)
    await scene.wait(REMOVED_SECONDS - 60, after)
    assert scene.ended == []
    await scene.wait(120, after)
    assert set(scene.ended) == {OLD}


async def test_an_engine_that_another_process_watches_is_not_removed(scene):
    mine, other = scene.process(HERE), scene.process(OLD)
    await scene.wait(2 * REMOVED_SECONDS, mine, other)
    assert scene.ended == []
    await scene.wait(REMOVED_SECONDS + 60, mine)
    assert set(scene.ended) == {OLD}


async def test_while_an_engine_does_not_answer_none_counts_as_removed(scene):
    mine = scene.process(HERE)
    scene.fault = "It does not answer."
    await scene.wait(2 * REMOVED_SECONDS, mine)
    assert scene.ended == []
    scene.fault = ""
    await scene.wait(REMOVED_SECONDS - 60, mine)
    assert scene.ended == []
    await scene.wait(120, mine)
    assert set(scene.ended) == {OLD}


async def test_the_record_of_engines_is_trimmed(scene):
    await scene.store.note_watched_engines(["a"], 100.0, 50.0)
    await scene.store.note_watched_engines(["b"], 140.0, 50.0)
    assert await scene.store.watched_engines(0.0) == {"a", "b"}
    assert await scene.store.watched_engines(120.0) == {"b"}
    await scene.store.note_watched_engines([], 160.0, 50.0)
    assert await scene.store.watched_engines(0.0) == {"b"}
