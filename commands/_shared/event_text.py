"""Formats events for people: what happened, to which resource, and why. Folds events that repeat or explain each other.

Events must be sorted by time; their order is kept. An event is skipped if it only repeats the cause of a container's
end. Example: the `kill` event of a `docker stop`. If the same thing happens to one resource more than MAX_REPEATS
times, only the newest of these events is shown, with their number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from commands._shared import formatting
from core.lazy_dataclass import dataclass
from core.model import gaps
from core.model.containers import NO_EXIT_CODE
from core.model.events import Event, EventKind
from core.model.refs import EngineRef, Kind
from core.model.signal_names import SIGNALS

SECOND = 1_000_000_000
MAX_REPEATS = 3
# What a stop does before and after the end of its container, and what a restart reports beside the new start.
BEFORE_NS, AFTER_NS, RESTART_NS = 3_600 * SECOND, 3 * SECOND, 5 * SECOND
SIGNAL_BASE = 128  # the exit code of a process that a signal ended is 128 plus the signal's number
ENDING_SIGNALS = frozenset({2, 3, 9, 15})
SWARM_KINDS = frozenset({EventKind.TASK_FAILED, EventKind.ROLLOUT, EventKind.NODE_STATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """An event, and how often the same thing happened: `times`, the first time at `first_ns`."""

    event: Event
    times: int = 1
    first_ns: int = 0


def fold(events: Sequence[Event]) -> list[ShownEvent]:
    """Returns the events that are shown, sorted by time as given."""
    told = _explained_by_causes(events)
    left = [event for at, event in enumerate(events) if at not in told]
    keys = [
        (event.subject.engine, event.type, event.subject.name, format_title(event), format_detail(event))
        for event in left
    ]
    times = Counter(keys)
    first: dict[object, int] = {}
    shown: list[ShownEvent] = []
    seen: Counter[object] = Counter()
    for key, event in zip(keys, left, strict=True):
        first.setdefault(key, event.at_ns)
        seen[key] += 1
        if times[key] <= MAX_REPEATS:
            shown.append(ShownEvent(event=event))
        elif seen[key] == times[key]:
            shown.append(ShownEvent(event=event, times=times[key], first_ns=first[key]))
    return shown


def _explained_by_causes(events: Sequence[Event]) -> set[int]:
    """Returns the positions of the events that the cause of an end tells: the signal and the stop of a container that
    ended by it, its out-of-memory notice, and the restart beside its new start."""
    told: set[int] = set()
    of_container: defaultdict[tuple[EngineRef, str], list[int]] = defaultdict(list)
    for at, event in enumerate(events):
        if event.subject.kind is Kind.CONTAINER:
            of_container[event.subject.engine, event.subject.id].append(at)
    for positions in of_container.values():
        run: list[int] = []
        died: Event | None = None
        started_ns = 0
        for at in positions:
            event = events[at]
            match event.kind:
                case EventKind.STARTED:
                    run, started_ns = [], event.at_ns
                case EventKind.KILLED | EventKind.OOM | EventKind.RESTARTED:
                    run.append(at)
                    if died is not None and event.kind is EventKind.RESTARTED:
                        told.update([at] if event.at_ns - max(started_ns, died.at_ns) <= RESTART_NS else [])
                case EventKind.STOPPED:
                    run.append(at)
                    told.update([at] if died is not None and event.at_ns - died.at_ns <= AFTER_NS else [])
                case EventKind.DIED if "cause_text" in event.attrs:
                    died = event
                    told.update(each for each in run if _belongs(events[each], died))
                case _:
                    pass
    return told


def _belongs(event: Event, died: Event) -> bool:
    """Whether the cause of the end tells this event before it."""
    if died.at_ns - event.at_ns > BEFORE_NS:
        return False
    if event.kind is EventKind.OOM:
        return died.attrs.get("cause") == "out_of_memory"
    if event.kind is not EventKind.KILLED or "signal" not in event.attrs:
        return True
    number = _number(event.attrs["signal"])
    return number in ENDING_SIGNALS or str(SIGNAL_BASE + number) == died.attrs.get("exit_code")


def format_title(event: Event) -> str:
    """What happened, in one or two words: `died`, `image pull`."""
    if event.kind is EventKind.OTHER:
        return event.action if event.type == "container" else f"{event.type} {event.action}"
    return str(event.kind).replace("_", " ")


def format_detail(event: Event) -> str:
    """Formats the few attributes that explain the event."""
    attrs = event.attrs
    if event.kind is EventKind.DIED and "cause_text" in attrs:
        return attrs["cause_text"] + (f" ({attrs['cause_by']})" if "cause_by" in attrs else "")
    if event.kind is EventKind.GAP:
        try:
            gap = gaps.from_event(event)
        except ValueError:  # a newer version of Quarterdeck stored it
            return "some time without events"
        return f"{formatting.span(gap.seconds)} without events: {gap.text}"
    parts: list[str | None] = []
    if "exit_code" in attrs and event.kind in (EventKind.DIED, EventKind.STOPPED, EventKind.OTHER):
        parts.append(f"exit code {attrs['exit_code']}")
    elif event.kind is EventKind.DIED and event.subject.engine.kind in NO_EXIT_CODE:
        parts.append("no exit code")
    parts.append("its cause is not known yet" if "cause_pending" in attrs else "")
    if "signal" in attrs:
        parts.append(f"signal {SIGNALS.get(_number(attrs['signal'])) or attrs['signal']}")
    if event.kind is EventKind.HEALTH and attrs.get("health"):
        parts.append(attrs["health"])
    if attrs.get("old_name"):
        parts.append(f"was {attrs['old_name']}")
    if attrs.get("image") and event.kind in (EventKind.CREATED, EventKind.STARTED, EventKind.RESTARTED):
        parts.append(attrs["image"])
    if attrs.get("container_name"):
        parts.append(f"container {attrs['container_name']}")
    if event.kind is EventKind.REPLICAS:
        parts.append(f"{attrs.get('running', '?')} of {attrs.get('desired', '?')} run")
    if event.kind in SWARM_KINDS:
        explained = (
            attrs.get("state"),
            attrs.get("availability"),
            attrs.get("node") and f"on {attrs['node']}",
            attrs.get("why"),
        )
        parts += explained
    return ", ".join(filter(None, parts))


def format_resource_name(event: Event) -> str:
    return formatting.image(event.subject.name or event.subject.short_id)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
