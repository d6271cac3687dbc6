"""`events`: shows the newest events of all engines, sorted by time, the newest last. The reply only counts the older
events that it leaves out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import ENGINE, HOST, OPTIONAL_TARGETS, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model.actions import Action, ListEvents
from core.model.events import Event, EventKind
from core.model.refs import Kind, Ref
from core.model.replies import Ending, Reply, Table, Text
from core.model.signal_names import SIGNALS
from core.name_matching import match, selection
from core.ports import Query

LIMIT = 50
MAX_EVENTS = 1_000
TYPES = ("container", "image", "network", "volume", "pod", "service", "task", "node", "namespace", "daemon")
# Every health check of a container makes three of these events.
NOISE = "exec"
SWARM_KINDS = frozenset({EventKind.TASK_FAILED, EventKind.ROLLOUT, EventKind.NODE_STATE})


async def plan(context: Context) -> Sequence[Action[Any]]:
    since_ns = int((context.now - context.args["since"]).timestamp()) * 1_000_000_000
    # Names are matched in `render`, so `--limit` cannot be given to the engines.
    wanted = query(context)
    names = tuple([(name, await _containers(context, replace(wanted, names=(name,)))) for name in wanted.names])
    return [
        ListEvents(engine=engine, since_ns=since_ns, limit=MAX_EVENTS, names=names)
        for engine in context.find.engines(wanted)
    ]


async def _containers(context: Context, wanted: Query) -> tuple[Ref, ...]:
    """Finds the existing containers that a name selects: none for the name of a removed container or of an image."""
    try:
        return tuple(await context.find.find(replace(wanted, every_match=True)))
    except errors.QuarterdeckError:
        return ()


def _without_history(results: Sequence[Result]) -> list[Text]:
    """Names the engines that store no past events, where other engines do."""
    named = [str(result.action.engine) for result in results if isinstance(result.error, errors.Unsupported)]
    if not named or len(named) == len(results):
        return []
    engines = ", ".join(named)
    return [Text(text=f"{engines} stores no past events. A running bot shows those that it received itself.")]


def render(context: Context, results: Sequence[Result]) -> Reply:
    args = context.args
    answered = [result for result in results if result.error is None]
    listed = [event for result in answered for event in result.value if _is_wanted(args, event)]
    if args["target"]:
        selected = _selected_subjects(results, {event.subject for event in listed})
        listed = [event for event in listed if event.subject in selected]
    events = sorted(listed, key=lambda event: event.at_ns)
    shown = events[-args["limit"] :]
    notes = formatting.engine_error_notes(results) + _without_history(results)
    if len(events) > len(shown):
        notes.insert(
            0, Text(text=f"{len(events) - len(shown):,} older events are left out; --limit {MAX_EVENTS} shows more.")
        )
    where = formatting.engine_columns(result.action.engine for result in results)
    rows = [
        [
            formatting.clock(datetime.fromtimestamp(event.at_ns / 1e9, UTC), context.now),
            _what(event),
            event.subject.name or event.subject.short_id,
            detail(event),
            *formatting.engine_cells(where, event.subject.engine),
        ]
        for event in shown
    ]
    subjects = f" to {', '.join(args['target'])}" if args["target"] else ""
    empty = f"Nothing happened{subjects} in the last {formatting.span(args['since'].total_seconds())}."
    ending = Ending.OK
    if not rows:
        ending = formatting.failed_ending(results) if not answered else Ending.NOTHING if args["target"] else Ending.OK
    table = Table(columns=("TIME", "WHAT", "NAME", "DETAIL", *where), rows=rows, empty=empty)
    return Reply(blocks=(*([table] if answered else []), *notes), ending=ending)


def detail(event: Event) -> str:
    """Formats the few attributes that explain the event."""
    attrs = event.attrs
    if event.kind is EventKind.DIED and "cause_text" in attrs:
        return attrs["cause_text"] + (f" ({attrs['cause_by']})" if "cause_by" in attrs else "")
    parts = []
    if "exit_code" in attrs and event.kind in (EventKind.DIED, EventKind.STOPPED, EventKind.OTHER):
        parts.append(f"exit code {attrs['exit_code']}")
    if "signal" in attrs:
        number = attrs["signal"]
        name = SIGNALS.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 4 else None
        parts.append(f"signal {name or number}")
    if event.kind is EventKind.HEALTH and attrs.get("health"):
        parts.append(attrs["health"])
    if attrs.get("old_name"):
        parts.append(f"was {attrs['old_name']}")
    if attrs.get("image") and event.kind in (EventKind.CREATED, EventKind.STARTED, EventKind.RESTARTED):
        parts.append(attrs["image"])
    if event.kind is EventKind.REPLICAS:
        parts.append(f"{attrs.get('running', '?')} of {attrs.get('desired', '?')} run")
    if event.kind in SWARM_KINDS:
        explained = (
            attrs.get("state"),
            attrs.get("availability"),
            attrs.get("node") and f"on {attrs['node']}",
            attrs.get("why"),
        )
        parts += filter(None, explained)
    return ", ".join(parts)


def _what(event: Event) -> str:
    if event.kind is EventKind.OTHER:
        return event.action if event.type == "container" else f"{event.type} {event.action}"
    return str(event.kind).replace("_", " ")


def _is_wanted(args: Any, event: Event) -> bool:
    if args["type"] and event.type not in args["type"]:
        return False
    return args["all"] or event.kind is not EventKind.OTHER or not event.action.startswith(NOISE)


def _selected_subjects(results: Sequence[Result], subjects: Collection[Ref]) -> Collection[Ref]:
    """The subjects of events that the typed names select.

    A name that selects existing containers selects their events, and those of earlier containers of their names. Any
    other name and any glob is matched with the names in the events, and so is every name for images, networks and the
    like.
    """
    containers = [ref for ref in subjects if ref.kind is Kind.CONTAINER]
    others: defaultdict[Kind, list[Ref]] = defaultdict(list)
    for ref in subjects:
        if ref.kind is not Kind.CONTAINER:
            others[ref.kind].append(ref)
    names = [pair for result in results if isinstance(result.action, ListEvents) for pair in result.action.names]
    selected: set[Ref] = set()
    for name, existing in dict.fromkeys(names):
        if existing:
            ids = {ref.id for ref in existing}
            by_id = "#" in name or any(ref.bare_id.startswith(name) for ref in existing)
            called = set() if by_id else {(ref.engine, ref.name) for ref in existing}
            selected.update(ref for ref in containers if ref.id in ids or (ref.engine, ref.name) in called)
        if not existing or match.parse(name).is_glob:
            selected.update(selection.match_refs(name, containers))
        for refs in others.values():
            selected.update(selection.match_refs(name, refs))
    return selected


command = Command(
    name="events",
    summary="show recent events",
    examples=("events", "events web --since 10m", "events --type container --type image --limit 200"),
    plan=plan,
    render=render,
    verbs=("event.list",),
    args=(
        OPTIONAL_TARGETS,
        Arg(
            name="--since",
            short="S",
            type=ArgType.DURATION,
            default=timedelta(hours=1),
            help="only stored events of the last TIME, for example 90s, 10m, 2h or 1d",
        ),
        Arg(name="--type", many=True, choices=TYPES, help="only events of this type"),
        Arg(
            name="--limit",
            short="n",
            type=ArgType.COUNT,
            default=LIMIT,
            maximum=MAX_EVENTS,
            help="show the newest COUNT events",
        ),
        Arg(
            name="--all",
            short="a",
            type=ArgType.FLAG,
            help="also show the events of commands that run inside containers, such as health checks",
        ),
        HOST,
        ENGINE,
    ),
)
