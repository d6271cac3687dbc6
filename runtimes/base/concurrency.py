"""Calls a function for many items at once, with a limit on how many calls run at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
MAX_CONCURRENT = 8


async def map_concurrently(
    function: Callable[[T], Awaitable[R]], items: Iterable[T], *, limit: int = MAX_CONCURRENT
) -> list[R]:
    """Returns one result per item, in the order of the items. The first exception ends the whole call."""
    gate = asyncio.Semaphore(limit)

    async def one(item: T) -> R:
        async with gate:
            return await function(item)

    return await asyncio.gather(*map(one, items))
