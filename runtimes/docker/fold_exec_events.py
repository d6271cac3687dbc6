"""Folds the live events of programs that run inside containers into one event for each action.

A health probe or `docker exec` causes three events. On hosts with health checks, nine of ten events are of this type,
and Quarterdeck only counts them. So the events of one action in a batch become one Event that says how many they are.
Two types of events are not folded: replayed events, and events in which a label could be mistaken for an attribute
(`shadowing_labels`).
"""

from __future__ import annotations

from collections.abc import Sequence

from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker import json_models

BEGINNING = "exec_"
ACTIONS = frozenset({"exec_create", "exec_start", "exec_detach", "exec_die"})
_OTHER, _LIVE = EventKind.OTHER, Origin.LIVE


def fold(
    batch: Sequence[json_models.Event], engine: EngineRef, *, replay_before: int
) -> tuple[Sequence[json_models.Event], Sequence[Event]]:
    """Returns the events that stay by themselves, and the folded ones. An event older than `replay_before` (ns) is a
    replay."""
    rest, numbers, newest = [], dict.fromkeys(ACTIONS, 0), max(1, replay_before) - 1
    earliest = newest + 1
    for one in batch:
        action = one.action
        if action.startswith(BEGINNING) and (at_ns := one.at_ns) >= earliest and one.type == "container":
            name, given = action.partition(": ")[0], one.actor.attributes
            if name in numbers and not (given.signal or given.old_name or (given.exit_code and name != "exec_die")):
                numbers[name] += 1
                newest = max(newest, at_ns)
                continue
        rest.append(one)
    if newest < earliest:
        return batch, ()
    subject = Ref(engine=engine, kind=Kind.ENGINE, id="", name="")
    found = [(action, number) for action, number in numbers.items() if number]
    return rest, [Event(newest, _OTHER, subject, _LIVE, "container", action, {}, number) for action, number in found]
