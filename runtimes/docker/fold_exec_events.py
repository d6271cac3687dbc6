"""Folds the live events of programs that run inside containers into one event for each kind (`exec_start`, …).

A health probe or `docker exec` causes three events. On hosts with health checks, nine of ten events are of this type,
and Quarterdeck only counts them. So the decoder counts the events of each kind in a batch. They become one Event that
contains their number. Two types of events are not folded: replayed events, and events in which a label could be
mistaken for an attribute (`label_collisions`).
"""

from __future__ import annotations

from collections.abc import Mapping

from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

ACTIONS = frozenset({"exec_create", "exec_start", "exec_detach", "exec_die"})
MAX_CACHED, MAX_CACHED_LENGTH = 2_000, 256  # actions, and characters of each
_OTHER, _LIVE = EventKind.OTHER, Origin.LIVE


class _FoldedActions(dict[str, str]):
    """Maps an action, as the engine writes it, to the name in ACTIONS, or to an empty text. Health probes repeat the
    same few actions, with their command lines, so a lookup costs much less than cutting the text."""

    def __missing__(self, action: str) -> str:
        name = action.partition(": ")[0]
        name = name if name in ACTIONS else ""
        if len(action) <= MAX_CACHED_LENGTH:
            if len(self) >= MAX_CACHED:
                self.clear()
            self[action] = name
        return name


NAMES = _FoldedActions()


def no_numbers() -> dict[str, int]:
    """Returns the numbers of a batch before its first event."""
    return dict.fromkeys(ACTIONS, 0)


def folded(numbers: Mapping[str, int], newest_ns: int, engine: EngineRef) -> list[Event]:
    """Returns the folded events of a batch. `numbers`: how many there are of each action; `newest_ns`: the newest
    time of any of them."""
    subject = Ref(engine=engine, kind=Kind.ENGINE, id="", name="")
    found = [(action, number) for action, number in numbers.items() if number]
    return [Event(newest_ns, _OTHER, subject, _LIVE, "container", action, {}, number) for action, number in found]
