"""The runner: goes on with the alerts of before, tells its listeners, and finds out that nobody watched."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import SimpleNamespace

import pytest

from bot.notify import alert_runner
from bot.notify.alert_runner import AlertRunner
from bot.notify.incident_writer import stored_incidents
from collectors.rule_catalogue import load_rules
from core import metrics, supervise
from core.model.refs import EngineRef, Kind, Ref
from core.store.client import Store
from tests.helpers.alerts import alert
from tests.unit.bot.notify.test_incident_writer import Desk


class Scene:
    def __init__(self, url: str) -> None:
        self.desk = Desk(url)
        self.store = Store.open(url)
        self.counts = metrics.Metrics()
        self.silent = False

    def mirrors(self):
        contact = 0.0 if self.silent else time.time()
        ref = EngineRef(host="h1", kind="docker")
        more = {"version": 0, "resources": SimpleNamespace(filesystem=None, units=None)}
        return [SimpleNamespace(ref=ref, not_live_reason="It is gone.", last_contact=contact, containers={}, **more)]

    @contextlib.asynccontextmanager
    async def running(self, **more):
        runner = AlertRunner(load_rules(), self.store, self.counts, is_own=lambda each: False, **more)
        async with supervise.Supervisor() as supervisor:
            runner.start(supervisor, self.mirrors)
            yield runner

    async def until(self, true):
        async with asyncio.timeout(60):
            while not (found := await true()):
                await asyncio.sleep(0.02)
            return found


@pytest.fixture
async def scene(valkey, monkeypatch):
    monkeypatch.setattr(alert_runner, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(alert_runner, "NOTE_SECONDS", 0.02)
    monkeypatch.setattr(alert_runner, "RETRY_SECONDS", 0.02)
    made = Scene(valkey.url)
    yield made
    await made.store.aclose()
    await made.desk.store.aclose()


async def test_alerts_of_our_rules_go_on_after_a_restart_and_those_of_others_are_left_alone(scene):
    await scene.desk.take(alert(), alert(fingerprint="f", owner="o", source="alertmanager"))
    async with scene.running() as runner:

        async def restored():
            return runner.evaluator.firing

        assert [each.fingerprint for each in await scene.until(restored)] == ["crash"]


async def test_an_engine_that_answers_again_after_a_restart_is_down_no_longer(scene):
    engine = scene.mirrors()[0].ref
    itself = Ref(engine=engine, kind=Kind.ENGINE, id=str(engine), name=str(engine))
    await scene.desk.take(alert("engine-down", subject=itself, owner=str(engine), topic="engine", fingerprint="f"))

    async def ended():
        (incident,) = await stored_incidents(scene.store)
        return incident.state == "resolved"

    async with scene.running():
        await scene.until(ended)


async def test_a_time_in_which_nobody_watched_is_one_incident(scene):
    await scene.store.watched_until_now(60)
    key = b"{qd}:watched"
    await scene.store._client.set(key, int(await scene.store._client.get(key)) - 3_601_000)

    async def told():
        return [each for each in await stored_incidents(scene.store) if each.main.rule == "nobody-watched"]

    async with scene.running():
        (incident,) = await scene.until(told)
    assert "nobody watched from" in incident.main.text and "(60 minutes)" in incident.main.text
    async with scene.running() as runner:
        await runner.writer.drained.wait()
        await asyncio.sleep(0.2)
    assert await told() == [incident]
    assert scene.counts.watch_timestamp_seconds._value.get() > 0


async def test_while_no_engine_answers_nobody_watches(scene):
    scene.silent = True
    async with scene.running() as runner:
        await scene.until(lambda: asyncio.sleep(0, runner.ticked_at > 0))
        await asyncio.sleep(0.1)
    assert await scene.store._client.get(b"{qd}:watched") is None
    assert scene.counts.watch_timestamp_seconds._value.get() == 0


async def test_listeners_are_told_until_they_leave(scene):
    async with scene.running() as runner:
        calls = []
        leave = runner.listen(lambda: calls.append(1))
        runner.writer.report(alert())
        await scene.until(lambda: asyncio.sleep(0, bool(calls)))
        leave()
        runner.writer.report(alert(at=2, count=2))
        await scene.until(lambda: asyncio.sleep(0, runner.writer.queued == 0))
        assert calls == [1]
