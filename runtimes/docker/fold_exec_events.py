"""Folds the live events of programs that run inside containers into one event for each kind (`exec_start`, …).

A health probe or `docker exec` causes three events. On hosts with health checks, nine of ten events are of this type,
and Quarterdeck only counts them. So the events of one kind in a batch become one Event that says how many they are.
Two types of events are not folded: replayed events, and events in which a label could be mistaken for an attribute
(`labels_like_attributes`).
"""

from __future__ import annotations

from collections.abc import Sequence

from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker import json_models

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


_NAMES = _FoldedActions()


def fold(
    batch: Sequence[json_models.Event], engine: EngineRef, *, replay_before: int
) -> tuple[Sequence[json_models.Event], Sequence[Event]]:
    """Returns the events that stay by themselves, and the folded ones. An event older than `replay_before` (ns) is a
    replay."""
    rest, numbers, names = [], dict.fromkeys(ACTIONS, 0), _NAMES
    earliest = max(1, replay_before)
    newest = before = earliest - 1
    for one in batch:
        if (name := names[one.action]) and (at_ns := one.at_ns) >= earliest and one.type == "container":
            given = one.actor.attributes
            if not (given.signal or given.old_name or (given.exit_code and name != "exec_die")):
                numbers[name] += 1
                newest = at_ns if at_ns > newest else newest  # `max` would cost much more
                continue
        rest.append(one)
    if newest == before:
        return batch, ()
    subject = Ref(engine=engine, kind=Kind.ENGINE, id="", name="")
    found = [(action, number) for action, number in numbers.items() if number]
    return rest, [Event(newest, _OTHER, subject, _LIVE, "container", action, {}, number) for action, number in found]
