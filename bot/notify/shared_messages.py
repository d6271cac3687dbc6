"""Decides, for one channel, whether new incidents get a message each or share one.

A few incidents get a message each. If more begin at almost the same time, such as when a host fails, they share one
message: the newest message of the channel becomes a table of them all. Slack allows about one message a second in a
channel, so after a message the next incidents are collected for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.model.incidents import Incident, PostedIncident

COLLECT_SECONDS = 1.0  # after a message
STORM_EDIT_SECONDS = 4.0  # between two edits of a shared message


@dataclass(slots=True, kw_only=True)
class SharedMessage:
    """A message that several incidents share. `channel`, `ts`: its id. `keys`: the incidents in it."""

    channel: str
    ts: str
    keys: set[str] = field(default_factory=set)
    next_edit: float = 0.0
    began: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """The message of one incident."""

    at: float
    channel: str
    ts: str
    key: str


class MessageSharing:
    """Holds the newest messages of one channel, and decides which incidents share one: those that begin within
    `seconds`, if there are more than `size`. Times are seconds of a monotonic clock."""

    def __init__(self, *, size: int = 3, seconds: float = 30.0) -> None:
        self._size = size
        self._seconds = seconds
        self._recent: list[_Own] = []
        self.storm: SharedMessage | None = None
        self._next_post = 0.0

    def due(self, new: Sequence[Incident], now: float) -> Sequence[Incident]:
        """Returns the new incidents that may be posted now, each with a message of its own. If there are too many, they
        join `storm` instead, which is then due for an edit."""
        self._forget(now)
        if now < self._next_post or not new:
            return ()
        if self.storm is not None:
            self.storm.keys.update(each.key for each in new)
            return ()
        begun = {own.key for own in self._recent} | {each.key for each in new}
        if self._recent and len(begun) > self._size:
            last = self._recent[-1]
            together = {own.key for own in self._recent if own.ts == last.ts}
            keys = together | {each.key for each in new}
            self.storm = SharedMessage(channel=last.channel, ts=last.ts, keys=keys, began=now)
            return ()
        return new if len(new) <= self._size else new[:1]

    def posted(self, channel: str, ts: str, key: str, now: float) -> None:
        """Records the message of one incident; again if the rest of its post failed and it was tried again."""
        self._recent = [own for own in self._recent if own.key != key]
        self._recent.append(_Own(at=now, channel=channel, ts=ts, key=key))
        self._next_post = now + COLLECT_SECONDS

    def restore(self, key: str, post: PostedIncident, at: float) -> None:
        """Goes on with a message that another process posted at this time. Call it in the order of the times."""
        self.posted(post.channel, post.ts, key, at)
        if not post.shared or post.group:
            return
        if self.storm is None or self.storm.ts != post.ts:
            self.storm = SharedMessage(channel=post.channel, ts=post.ts, began=at)
        self.storm.keys.add(key)

    def storm_due(self, now: float) -> bool:
        return self.storm is not None and now >= self.storm.next_edit

    def storm_edited(self, now: float) -> None:
        if self.storm is not None:
            self.storm.next_edit = now + STORM_EDIT_SECONDS

    def forget_message(self, ts: str) -> None:
        """Forgets a message that was deleted."""
        self._recent = [own for own in self._recent if own.ts != ts]
        if self.storm is not None and self.storm.ts == ts:
            self.storm = None

    def idle(self, now: float) -> bool:
        """Whether nothing was posted lately."""
        self._forget(now)
        return self.storm is None and not self._recent

    def _forget(self, now: float) -> None:
        self._recent = [each for each in self._recent if now - each.at < self._seconds]
        if self.storm is not None and now - self.storm.began > self._seconds:
            self.storm = None
