"""Reports an event when an engine's restart count of a container has grown since the last list.

The engine counts the restarts of its restart policy. So ends without an event are noticed too, for example if a
container crashed many times while the event stream was interrupted. The first count of a container makes no event.
These events are only for the alert rules; they are not stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from core.model.containers import Container
from core.model.events import Event, EventKind, Origin

RESTARTS = "restarts"


class RestartCountEvents:
    """Holds the last counts of one engine's containers. `now_ns`: our clock."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._counts: dict[str, int] = {}
        self._version = -1

    def compare(self, containers: Mapping[str, Container], version: int) -> Sequence[Event]:
        """Returns an event for each container that was restarted since the last call. `version`: of the containers; if
        it is the same, nothing is compared."""
        if version == self._version:
            return ()
        self._version = version
        events = []
        counts: dict[str, int] = {}
        for key, row in containers.items():
            before = self._counts.get(key)
            now = before if row.restarts is None else row.restarts
            if now is None:
                continue
            counts[key] = now
            if before is not None and now > before:
                attrs = {"number": str(now - before)}
                events.append(
                    Event(self._now_ns(), EventKind.OTHER, row.ref, Origin.LIVE, "container", RESTARTS, attrs)
                )
        self._counts = counts
        return events
