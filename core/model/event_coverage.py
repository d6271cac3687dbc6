"""Describes for which part of a requested time an engine's events are stored, and for which part they are missing.

Past events have two sources: the engine itself, which stores the newest ones, and Quarterdeck, for the times when it
watched. All times are nanoseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

NOT_YET, NOT_NOW, NEVER = (
    "Quarterdeck did not watch it yet",
    "Quarterdeck does not watch it now",
    "Quarterdeck did not watch it",
)


class Missed(msgspec.Struct, frozen=True):
    """A time whose events were not received although the engine was watched. `why`: continues a sentence."""

    from_ns: int
    until_ns: int
    why: str


class Coverage(msgspec.Struct, frozen=True):
    """`remembered_ns`: the engine remembers all events since then; 0: it remembers none, or was not asked.
    `watched_ns`, `watched_until_ns`: between these times Quarterdeck received its events; 0: never. `missed`: the
    exceptions."""

    remembered_ns: int = 0
    watched_ns: int = 0
    watched_until_ns: int = 0
    missed: tuple[Missed, ...] = ()

    def unknown(self, since_ns: int, until_ns: int) -> tuple[Missed, ...]:
        """Returns the parts of a time that neither source covers, the oldest first."""
        until_ns = max(since_ns, min(until_ns, self.remembered_ns or until_ns))
        if not self.watched_ns or self.watched_until_ns <= since_ns or self.watched_ns >= until_ns:
            why = NEVER if not self.watched_ns else NOT_NOW if self.watched_until_ns <= since_ns else NOT_YET
            spans = [Missed(since_ns, until_ns, why)]
        else:
            inside = (
                Missed(max(each.from_ns, since_ns), min(each.until_ns, until_ns, self.watched_until_ns), each.why)
                for each in self.missed
            )
            spans = [
                Missed(since_ns, self.watched_ns, NOT_YET),
                *inside,
                Missed(self.watched_until_ns, until_ns, NOT_NOW),
            ]
        found = [each for each in spans if each.from_ns < each.until_ns]
        return tuple(_joined(sorted(found, key=lambda each: (each.from_ns, each.until_ns))))

    def live_since(self, since_ns: int, now_ns: int, missed: Iterable[Missed]) -> Coverage:
        """Returns the coverage of a process that watches now, and has since `since_ns`, except for what it `missed`."""
        return msgspec.structs.replace(
            self,
            watched_ns=min(self.watched_ns or since_ns, since_ns),
            watched_until_ns=now_ns,
            missed=(*self.missed, *missed),
        )


def _joined(spans: list[Missed]) -> Iterator[Missed]:
    """Joins times that overlap for the same reason; where the reasons differ, each begins where the one before ends."""
    last: Missed | None = None
    for span in spans:
        if last is None or span.from_ns > last.until_ns:
            if last is not None:
                yield last
            last = span
        elif span.why == last.why:
            last = msgspec.structs.replace(last, until_ns=max(last.until_ns, span.until_ns))
        elif span.until_ns > last.until_ns:
            yield last
            last = msgspec.structs.replace(span, from_ns=last.until_ns)
    if last is not None:
        yield last
