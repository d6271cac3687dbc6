"""Decides, for one channel, whether new incidents get a message each or share one.

A few incidents get a message each. If more begin at almost the same time, such as when a host fails, they share one
message: the newest message of the channel becomes a table of them all. Slack allows about one message a second in a
channel, so after a message the next incidents are collected for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.model.incidents import Incident

STORM_SECONDS = 30.0  # in which incidents begin "at almost the same time"
STORM_SIZE = 3  # incidents that get a message each; with more in this time, they share one
COLLECT_SECONDS = 1.0  # after a message
STORM_EDIT_SECONDS = 4.0  # between two edits of a shared message


@dataclass(slots=True, kw_only=True)
class SharedMessage:
    """A message that several incidents share. `ts`: its id. `keys`: the incidents in it."""

    ts: str
    keys: set[str] = field(default_factory=set)
    next_edit: float = 0.0
    began: float = 0.0


class MessageSharing:
    """Holds the newest messages of one channel, and decides which incidents share one. Times are seconds of a
    monotonic clock."""

    def __init__(self) -> None:
        self._recent: list[tuple[float, str, str]] = []  # time, ts and key of each incident's own message
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
        if self._recent and len(new) + len(self._recent) > STORM_SIZE:
            _, ts, _ = self._recent[-1]
            together = {key for _, other, key in self._recent if other == ts}
            self.storm = SharedMessage(ts=ts, keys=together | {each.key for each in new}, began=now)
            return ()
        return new if len(new) <= STORM_SIZE else new[:1]

    def posted(self, ts: str, key: str, now: float) -> None:
        """Records the message of one incident."""
        self._recent.append((now, ts, key))
        self._next_post = now + COLLECT_SECONDS

    def storm_due(self, now: float) -> bool:
        return self.storm is not None and now >= self.storm.next_edit

    def storm_edited(self, now: float) -> None:
        assert self.storm is not None
        self.storm.next_edit = now + STORM_EDIT_SECONDS

    def idle(self, now: float) -> bool:
        """Whether nothing was posted lately."""
        self._forget(now)
        return self.storm is None and not self._recent

    def _forget(self, now: float) -> None:
        self._recent = [each for each in self._recent if now - each[0] < STORM_SECONDS]
        if self.storm is not None and now - self.storm.began > STORM_SECONDS:
            self.storm = None
