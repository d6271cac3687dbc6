"""Long searches have threads of their own: other work in threads goes on beside any number of them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from core import secret_search_threads


async def test_searches_that_hang_leave_the_shared_threads_free() -> None:
    go_on = threading.Event()
    names: set[str] = set()

    def search() -> str:
        names.add(threading.current_thread().name)
        go_on.wait(30)
        return "done"

    searches = [asyncio.create_task(secret_search_threads.run_search(search)) for _ in range(40)]
    try:
        async with asyncio.timeout(60):
            # More than the shared threads of any machine, one after the other.
            for number in range(40):
                assert await asyncio.to_thread(lambda number=number: number) == number
        assert not any(task.done() for task in searches)
        assert len(names) <= secret_search_threads.MAX_THREADS
    finally:
        go_on.set()
    assert await asyncio.gather(*searches) == ["done"] * 40


async def test_an_error_reaches_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await secret_search_threads.run_search(fail)
