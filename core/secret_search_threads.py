"""Runs searches for secrets in two threads of their own.

A search of megabytes takes seconds. The shared threads of the event loop also look up host names and write files, which
must not wait for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")
MAX_THREADS = 2
_threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="search for secrets")


async def run_search(function: Callable[[], R]) -> R:
    """Returns what `function` returns, or raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_threads, function)
