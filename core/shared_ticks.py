"""Lets all periodic tasks of a process wake up at the same moments.

After a pause, the caches of the processor are cold, and code runs several times as slow at first. So an idle process
takes much less time if it wakes up once a second and does everything that is due, than if each task wakes it up
separately. The moments are the multiples of each task's interval on the clock of the event loop.
"""

from __future__ import annotations

import asyncio


def next_tick(seconds: float) -> float:
    """Returns the next moment of an interval, in the time of the event loop.

    It is between half of `seconds` and one and a half times as long from now. For a task that takes little time itself,
    it is exactly as long from then on.
    """
    now = asyncio.get_running_loop().time()
    return (now / seconds + 0.5) // 1 * seconds + seconds if seconds > 0 else now


async def sleep_to_tick(seconds: float) -> None:
    """Sleeps until the next moment of an interval; see `next_tick`."""
    await asyncio.sleep(next_tick(seconds) - asyncio.get_running_loop().time() if seconds > 0 else 0)
