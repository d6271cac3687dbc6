"""Reports as events when an engine stops answering, answers again or is removed, for the alert rules.

An engine itself sends no such events. This module finds them: it compares which engines are watched now with which were
watched at the last call. The events are not stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

DOWN, UP, REMOVED = "engine-down", "engine-up", "engine-gone"
MAX_REASON = 300  # characters


class EngineStateEvents:
    """Remembers which engines are down. `now_ns`: our clock."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._down: Mapping[EngineRef, bool] = {}

    def compare(self, engines: Iterable[tuple[EngineRef, str]]) -> Sequence[Event]:
        """Takes every engine with the reason why it is not watched now; an empty reason if it is. Returns what
        changed since the last call. An engine that is watched from the start is no change."""
        now = dict(engines)
        events = []
        for ref, why in now.items():
            if bool(why) != self._down.get(ref, False):
                events.append(self._event(ref, DOWN if why else UP, why))
        events += [self._event(ref, REMOVED, "") for ref, down in self._down.items() if down and ref not in now]
        self._down = {ref: bool(why) for ref, why in now.items()}
        return events

    def _event(self, ref: EngineRef, action: str, why: str) -> Event:
        subject = Ref(engine=ref, kind=Kind.ENGINE, id=str(ref), name=str(ref))
        attrs = {"why": why[:MAX_REASON]} if why else {}
        return Event(self._now_ns(), EventKind.OTHER, subject, Origin.LIVE, "engine", action, attrs)
