"""The watch of an engine whose events one command follows."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from bot import engine_watch
from collectors import engine_watcher
from core import supervise
from tests.fake_engine.engine import FakeRuntime

pytestmark = pytest.mark.looptime


async def test_a_bug_in_the_watch_of_a_followed_engine_is_logged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(self: engine_watcher.EngineWatcher) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(engine_watcher.EngineWatcher, "run", run)
    engine, failed = FakeRuntime(), asyncio.Event()
    counted: list[str] = []
    with capture_logs() as lines:
        async with supervise.Supervisor(on_failure=lambda name: (counted.append(name), failed.set())):
            async with engine_watch.watch_while_followed(engine):
                await failed.wait()
    assert counted == [f"follow {engine.ref}"]
    assert [line["task"] for line in lines if line["event"] == "A task failed."] == counted
