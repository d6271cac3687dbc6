"""Skips the events that an engine sends again when its stream is reopened a little before the last known event.

Only the newest few thousand events are compared. An older one that is sent again counts as new. A later process gets
digests of the newest events, without those that change nothing, such as executions.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence

from core.model.events import Event, EventKind, is_execution

RECENT_EVENTS = 4096
MAX_DIGESTS = 512
_DIGEST_BYTES = 8
_OTHER = EventKind.OTHER


class RepeatedEvents:
    """Stores the newest processed events of one engine, and recognises them when they are sent again."""

    def __init__(self) -> None:
        self._recent: deque[Event] = deque(maxlen=RECENT_EVENTS)
        self._remembered: frozenset[bytes] = frozenset()
        self._expected: set[tuple[int, str, str, str]] = set()
        self._until = self._folded_until = 0

    def digests(self, since_ns: int) -> bytes:
        """Returns digests of the newest events since a time, for `remember` of a later process."""
        found = [event for event in self._recent if event.at_ns >= since_ns and event.kind is not _OTHER]
        return b"".join(map(_digest, found[-MAX_DIGESTS:]))

    def remember(self, digests: bytes) -> None:
        """Takes what an earlier process has processed."""
        starts = range(0, len(digests), _DIGEST_BYTES)
        self._remembered = frozenset(digests[at : at + _DIGEST_BYTES] for at in starts)

    def expect(self, since_ns: int, until_ns: int) -> None:
        """The stream was reopened from `since_ns` on. Until an event after `until_ns` arrives, events may be
        repeated."""
        self._expected = {event.identity() for event in self._recent if event.at_ns >= since_ns}
        self._until = until_ns
        self._folded_until = max((event.at_ns for event in self._recent if event.folded), default=0)

    @property
    def expected(self) -> bool:
        """Whether `leave_out` may find anything."""
        return bool(self._expected or self._remembered)

    def leave_out(self, batch: Sequence[Event], latest_ns: int) -> Sequence[Event]:
        """Returns the events of a batch that were not processed before, in order. A time after `latest_ns` is wrong, so
        it does not show that the engine has sent all repeated events."""
        if batch and self._until < batch[0].at_ns <= latest_ns:
            self._expected, self._remembered = set(), frozenset()
            return batch
        return [event for event in batch if not self._is_repeated(event)]

    def add(self, batch: Sequence[Event]) -> None:
        """Adds processed events."""
        self._recent.extend(batch)

    def _is_repeated(self, event: Event) -> bool:
        """The identities of folded events are not known, but their times are."""
        if event.identity() in self._expected or (event.at_ns <= self._folded_until and is_execution(event)):
            return True
        return bool(self._remembered) and event.kind is not _OTHER and _digest(event) in self._remembered


def _digest(event: Event) -> bytes:
    text = "\0".join(map(str, event.identity()))
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()
