"""Measures how late the event loop runs its tasks, and logs the code that blocked it.

While one task computes, no other task runs: no event is read, no click is answered. The watchdog sleeps on the loop,
wakes up with the other periodic tasks, and measures how much later than planned this is. A thread monitors the
watchdog. If it has not woken up in time, the thread records which code the loop's thread runs at that moment, because
this cannot be found out later. The measured delay is shorter than the block of the loop, by at most one interval and a
half.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType

import structlog

from core.shared_ticks import next_tick

log = structlog.get_logger(__name__)
INTERVAL_SECONDS = 1.0  # between two measurements
HELD_SECONDS = 0.5  # a longer delay is logged
QUIET_SECONDS = 60.0  # after a message, shorter delays are only counted for this time
MAX_FRAMES = 6  # of the stack in a message, the innermost last
IDLE = ("selectors.py", "select")
STARVED = "nothing in this process: the machine gave it no CPU time"


class LoopWatchdog:
    """Watches the loop in which `run` runs. `observe` receives each delay, in seconds."""

    def __init__(self, observe: Callable[[float], object], *, held_seconds: float = HELD_SECONDS) -> None:
        self._observe = observe
        self._held_seconds = held_seconds
        self._due = 0.0  # monotonic time, as of the loop, at which the watchdog wakes up
        self._held_by = ""
        self._logged_at, self._logged_lag, self._skipped = float("-inf"), 0.0, 0

    async def run(self) -> None:
        """Measures until it is cancelled."""
        stop = threading.Event()
        arguments = (threading.get_ident(), stop)
        self._due = next_tick(INTERVAL_SECONDS)
        thread = threading.Thread(target=self._watch, args=arguments, name="loop watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._due = next_tick(INTERVAL_SECONDS)
                self._held_by = ""
                await asyncio.sleep(self._due - time.monotonic())
                self._measured(max(0.0, time.monotonic() - self._due), self._held_by)
        finally:
            stop.set()

    def _measured(self, lag: float, held_by: str) -> None:
        self._observe(lag)
        if lag < self._held_seconds:
            return
        now = time.monotonic()
        if now - self._logged_at < QUIET_SECONDS and lag <= 2 * self._logged_lag:
            self._skipped += 1
            return
        log.warning(
            "The event loop was blocked, so all other work of this process waited.",
            seconds=round(lag, 2),
            held_by=held_by or "not known",
            not_logged=self._skipped,
        )
        self._logged_at, self._logged_lag, self._skipped = now, lag, 0

    def _watch(self, thread_id: int, stop: threading.Event) -> None:
        """Runs in a thread of its own. Looks at the loop's thread while the watchdog is late."""
        pause = INTERVAL_SECONDS
        while not stop.wait(pause):
            due = self._due
            left = due + self._held_seconds / 2 - time.monotonic()
            # While the loop is blocked, its time stays the same, and the thread looks once per interval.
            pause = left if left > 0 else INTERVAL_SECONDS
            if left > 0 or self._held_by:
                continue
            frame = sys._current_frames().get(thread_id)
            held_by = where(frame) if frame is not None else ""
            if self._due == due:  # the watchdog has not woken up meanwhile
                self._held_by = held_by


def where(frame: FrameType) -> str:
    """Returns where a thread is, as its innermost calls, the last of them innermost."""
    stack = traceback.extract_stack(frame, limit=40)
    innermost = stack[-1]
    if innermost.filename.endswith(IDLE[0]) and innermost.name == IDLE[1]:
        return STARVED
    calls = [call for call in stack if "/asyncio/" not in call.filename][-MAX_FRAMES:]
    return " > ".join(f"{call.name} ({call.filename.rpartition('/')[2]}:{call.lineno})" for call in calls)
