"""Functions that block run one after the other in their thread, and nobody waits for them longer than he may."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from core.file_thread import FileThread

LONG = 60.0  # seconds, which no call here takes


async def test_calls_run_in_their_order_and_errors_reach_the_caller() -> None:
    files, seen = FileThread("t"), list[int]()
    try:
        await asyncio.gather(*(files.run(lambda number=number: seen.append(number), LONG) for number in range(20)))
        assert seen == list(range(20))
        with pytest.raises(ValueError, match="no"):
            await files.run(lambda: int("no"), LONG)
    finally:
        files.close()


async def test_nobody_waits_for_a_function_that_hangs() -> None:
    files, go_on = FileThread("t"), threading.Event()
    try:
        for _ in range(2):  # the second waits behind the first
            with pytest.raises(TimeoutError):
                await files.run(go_on.wait, 0.01)
    finally:
        go_on.set()
        files.close()


async def test_a_closed_thread_ends_after_its_last_call_and_takes_no_other() -> None:
    files, last = FileThread("t"), threading.Event()
    thread = await files.run(threading.current_thread, LONG)
    files.close(last.set)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await files.run(lambda: None, LONG)
    assert time.monotonic() - began < LONG
    await asyncio.to_thread(thread.join, LONG)
    assert last.is_set() and not thread.is_alive()
