"""Folds the live events of programs that run inside containers into one event for each action.

A health probe or `docker exec` causes three events. On hosts with health checks, nine of ten events are of this type,
and Quarterdeck only counts them. So only their action and their time are decoded, and the events of one action become
one Event that says how many they are. The same lines decoded one by one lead to the same counts and times.

All lines stay as they are if one of them needs a closer look: it cannot be decoded, it is a replay, or it has an
attribute that can only be a label (`misleading_labels`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import json_decoder, json_types

ACTIONS = frozenset({"exec_create", "exec_start", "exec_detach", "exec_die"})
# The daemon writes the fields in this order; the second form is that of API 1.52, which has no `status`.
_BEGINNINGS = tuple(b + b"exec_" for b in (b'{"status":"', b'{"Type":"container","Action":"'))
_ENDS = tuple(b + b"die" for b in _BEGINNINGS)
_OTHER, _LIVE = EventKind.OTHER, Origin.LIVE


class _EndAttributes(msgspec.Struct, gc=False):
    signal: Literal[""] = ""
    old_name: Literal[""] = msgspec.field(name="oldName", default="")


class _Attributes(_EndAttributes, gc=False):
    exit_code: Literal[""] = msgspec.field(name="exitCode", default="")


class _EndActor(msgspec.Struct, gc=False):
    attributes: _EndAttributes = msgspec.field(name="Attributes")


class _Actor(msgspec.Struct, gc=False):
    attributes: _Attributes = msgspec.field(name="Attributes")


class _End(msgspec.Struct, gc=False):
    """Models an `exec_die`, which alone has an exit code from the daemon."""

    type: Literal["container"] = msgspec.field(name="Type")
    action: Literal["exec_die"] = msgspec.field(name="Action")
    actor: _EndActor = msgspec.field(name="Actor")
    at_ns: json_types.UnixNanoseconds = msgspec.field(name="timeNano")


class _Beginning(msgspec.Struct, gc=False):
    """Models the others. `action` contains the command line."""

    type: Literal["container"] = msgspec.field(name="Type")
    action: str = msgspec.field(name="Action")
    actor: _Actor = msgspec.field(name="Actor")
    at_ns: json_types.UnixNanoseconds = msgspec.field(name="timeNano")


def fold(lines: bytes, engine: EngineRef, *, replay_before: int) -> tuple[bytes, Sequence[Event]]:
    """Returns the lines that are left, and the folded events. An event older than `replay_before` (ns) is a replay."""
    each_line = lines.split(b"\n")
    found = [line for line in each_line if line.startswith(_BEGINNINGS)]
    if not found:
        return lines, ()
    ends = [line for line in found if line.startswith(_ENDS)]
    begun = [line for line in found if not line.startswith(_ENDS)] if len(ends) < len(found) else []
    decoded_ends = json_decoder.decode_lines_or_none(_End, b"\n".join(ends))
    decoded = json_decoder.decode_lines_or_none(_Beginning, b"\n".join(begun))
    if decoded is None or decoded_ends is None:
        return lines, ()
    times = [one.at_ns for one in decoded] + [one.at_ns for one in decoded_ends]
    numbers = Counter({"exec_die": len(decoded_ends)} if decoded_ends else {})
    for action, number in Counter([one.action for one in decoded]).items():
        numbers[action.partition(": ")[0]] += number
    if min(times) < max(1, replay_before) or not numbers.keys() <= ACTIONS:
        return lines, ()
    subject, newest = Ref(engine=engine, kind=Kind.ENGINE, id="", name=""), max(times)
    folded = [
        Event(newest, _OTHER, subject, _LIVE, "container", action, {}, number) for action, number in numbers.items()
    ]
    return b"\n".join([line for line in each_line if not line.startswith(_BEGINNINGS)]), folded
