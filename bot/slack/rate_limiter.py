"""Limits the rate of calls of each method of Slack's Web API, so that Slack does not refuse any.

Slack allows each app and workspace a number of calls a minute, by the tier of the method, and tolerates short bursts.
The most urgent call goes first, then the others in the order of their arrival. Edits are spread so that no minute has
more than Slack allows, because live messages make them all the time. Of other methods, a full minute's number may be
called at once after a pause. Two processes with one token share Slack's limit and do not know of each other. If they
exceed it, Slack answers 429, which `bot.slack.pause_after_429` handles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from bot.slack.send_queue import Priority, PriorityLock
from core import errors

TIER_2, TIER_3, TIER_4 = 20, 50, 100  # calls a minute
# By Slack's reference of each method. chat.postMessage is limited by channel, and chat.update is paced by the outbox.
PER_MINUTE: Mapping[str, int] = {
    "chat.postEphemeral": TIER_4,
    "conversations.history": TIER_3,
    "conversations.open": TIER_3,
    "conversations.replies": TIER_3,
    "files.completeUploadExternal": TIER_4,
    "usergroups.list": TIER_2,
    "users.info": TIER_4,
}
EDITS_PER_MINUTE = TIER_3
EDIT_BURST = 10  # edits at once; then one every 1.5 seconds
MOMENT = 0.001  # seconds; clocks and sleeps are not more precise
MAX_PACE_SECONDS = 120.0  # a call that would wait for longer is refused


class MethodPace:
    """Lets `burst` calls pass at once and then `per_minute` in each minute."""

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float]) -> None:
        self._interval = 60.0 / per_minute
        self._tolerance = self._interval * (burst - 1)
        self._clock = clock
        self._lock = PriorityLock()
        self._next = float("-inf")
        """When the next call would come if all came evenly."""
        self._waiting = 0

    def delay(self) -> float:
        """Returns for how many seconds a call of the lowest priority would wait now."""
        return max(0.0, self._next - self._tolerance + self._waiting * self._interval - self._clock())

    def take(self) -> bool:
        """Takes a turn without waiting. Returns whether that was possible."""
        if self._waiting or self._next - self._tolerance - self._clock() > MOMENT:
            return False
        self._next = max(self._next, self._clock()) + self._interval
        return True

    async def turn(self, priority: Priority) -> None:
        """Waits for a turn and takes it. One that is cancelled takes none."""
        if self.take():
            return
        self._waiting += 1
        try:
            async with self._lock.turn(priority):
                while (left := self._next - self._tolerance - self._clock()) > MOMENT:  # noqa: ASYNC110 (nobody sets an event)
                    await asyncio.sleep(left)
                self._next = max(self._next, self._clock()) + self._interval
        finally:
            self._waiting -= 1


class MethodPaces:
    """Holds the paces of the methods of one client, on the time of the running loop."""

    def __init__(self) -> None:
        self._paces: dict[str, MethodPace] = {}

    def is_tight(self) -> bool:
        """Whether calls of a method wait now. Then only necessary calls should be made."""
        return any(pace.delay() > 0 for pace in self._paces.values())

    async def turn(self, method: str) -> None:
        """Waits until the method may be called. Raises Undeliverable if too many calls wait already."""
        if method not in PER_MINUTE:
            return
        if method not in self._paces:
            grants = PER_MINUTE[method]
            self._paces[method] = MethodPace(grants, grants, asyncio.get_running_loop().time)
        pace = self._paces[method]
        if pace.delay() > MAX_PACE_SECONDS:
            raise errors.Undeliverable(
                f"Too many calls of {method} wait to be sent to Slack, which accepts"
                f" {PER_MINUTE[method]} of them in a minute.",
                code="overflow",
                hint="Wait two minutes. See with `audit` which commands were run before you give one again.",
            )
        await pace.turn(Priority.REPLY)


def edit_pace(clock: Callable[[], float]) -> MethodPace:
    """Returns the pace of edits: no minute has more than EDITS_PER_MINUTE, its burst included."""
    return MethodPace(EDITS_PER_MINUTE - EDIT_BURST, EDIT_BURST, clock)
