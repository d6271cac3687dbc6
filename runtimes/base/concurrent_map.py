"""Calls a function for many items at once, with a limit on how many calls run at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")
MAX_CONCURRENT = 8


async def map_concurrently(
    function: Callable[[T], Awaitable[R]], items: Iterable[T], *, limit: int = MAX_CONCURRENT
) -> list[R]:
    """Returns one result per item, in the order of the items. The first exception ends the whole call; no further item
    is begun then, and calls that run already end by themselves. Ten thousand items cost `limit` tasks, not ten
    thousand."""
    all_items = list(items)
    results: list[R | None] = [None] * len(all_items)
    waiting = iter(enumerate(all_items))
    failed = False

    async def work() -> None:
        nonlocal failed
        for number, item in waiting:
            if failed:
                return
            try:
                results[number] = await function(item)
            except BaseException:
                failed = True
                raise

    await asyncio.gather(*(work() for _ in range(min(limit, len(all_items)))))
    return cast(list[R], results)
