"""A task that holds the event loop is measured and named."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from core import loop_watchdog
from core.loop_watchdog import LoopWatchdog


@contextlib.asynccontextmanager
async def watching(watchdog: LoopWatchdog) -> AsyncIterator[None]:
    task = asyncio.create_task(watchdog.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


def match_ten_thousand_names(seconds: float) -> None:
    time.sleep(seconds)


async def test_what_holds_the_loop_is_measured_and_named() -> None:
    lags: list[float] = []
    with capture_logs() as lines:
        async with watching(LoopWatchdog(lags.append)):
            await until(lambda: lags)
            match_ten_thousand_names(3.0)
            await until(lambda: any(line["log_level"] == "warning" for line in lines))
    (line, *_) = lines
    assert max(lags) > 1
    assert line["event"] == "The event loop was blocked, so all other work of this process waited."
    assert line["seconds"] > 1
    assert "match_ten_thousand_names (test_loop_watchdog.py:" in line["held_by"]


async def test_an_idle_loop_is_measured_and_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    lags: list[float] = []
    monkeypatch.setattr(loop_watchdog, "INTERVAL_SECONDS", 0.01)
    with capture_logs() as lines:
        async with watching(LoopWatchdog(lags.append, held_seconds=60.0)):
            await until(lambda: len(lags) > 5)
    assert not lines


def test_a_loop_that_waits_for_the_machine_holds_nothing() -> None:
    started, stop = threading.Event(), threading.Event()
    found: list[int] = []

    async def idle() -> None:
        found.append(threading.get_ident())
        started.set()
        while not stop.is_set():
            await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(idle()))
    thread.start()
    try:
        assert started.wait(30)
        seen = set()
        ends = time.monotonic() + 30
        while loop_watchdog.STARVED not in seen and time.monotonic() < ends:
            frame = loop_watchdog.sys._current_frames().get(found[0])
            if frame is not None:
                seen.add(loop_watchdog.where(frame))
            del frame
        assert loop_watchdog.STARVED in seen
    finally:
        stop.set()
        thread.join()


def test_messages_are_few_and_count_what_they_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(loop_watchdog.time, "monotonic", lambda: now[0])
    watchdog = LoopWatchdog(lambda lag: None)
    with capture_logs() as lines:
        for lag in (1.0, 1.5, 0.9, 3.0, 4.0, 0.1):
            watchdog._measured(lag, "somewhere")
        now[0] += loop_watchdog.QUIET_SECONDS
        watchdog._measured(0.6, "")
    assert [(line["seconds"], line["not_logged"]) for line in lines] == [(1.0, 0), (3.0, 2), (0.6, 1)]
    assert lines[-1]["held_by"] == "not known"


async def test_its_thread_ends_with_it() -> None:
    async with watching(LoopWatchdog(lambda lag: None)):
        assert any(thread.name == "loop watchdog" for thread in threading.enumerate())
    await until(lambda: not any(thread.name == "loop watchdog" for thread in threading.enumerate()))
