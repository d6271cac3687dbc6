"""`events`: shows what happened to containers, services and images, sorted by time, the newest last, with the cause of
each end. The reply only counts the older events that it leaves out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from commands._shared import event_text, formatting
from commands.spec import ENGINE, HOST, OPTIONAL_TARGETS, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model import events
from core.model.actions import Action
from core.model.event_actions import ListEvents
from core.model.events import Event
from core.model.refs import Kind, Ref
from core.model.replies import Ending, Reply, Table, Text, Tone
from core.name_matching import match, selection
from core.ports import Query

SINCE = timedelta(hours=1)
LIMIT = 50
MAX_EVENTS = 1_000
MAX_SEARCHED = 5_000  # events of one engine among which those of a name, type or action are chosen
TYPES = (
    *("container", "image", "service", "task", "pod", "node", "engine", "network", "volume"),
    *("config", "secret", "plugin", "daemon", "namespace"),
)
LIFECYCLE_TYPES = events.LIFECYCLE_TYPES | {"container", "engine"}


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    since, until = _since(args), args["until"]
    if until is not None and until >= since:
        raise errors.BadUsage(
            f"--until {formatting.span(until.total_seconds())} ago is not later than --since"
            f" {formatting.span(since.total_seconds())} ago.",
            hint="Give --since a longer time, for example --since 2h --until 1h.",
        )
    # Names are matched in `render`, so `--limit` cannot be given to the engines.
    wanted = query(context)
    names = tuple([(name, await _containers(context, replace(wanted, names=(name,)))) for name in wanted.names])
    chosen = bool(args["type"] or args["action"] or names)
    return [
        ListEvents(
            engine=engine,
            since_ns=_ns_ago(context.now, since),
            until_ns=0 if until is None else _ns_ago(context.now, until),
            limit=MAX_SEARCHED if chosen or args["all"] else MAX_EVENTS,
            lifecycle=not args["all"] and not args["action"] and LIFECYCLE_TYPES.issuperset(args["type"]),
            probes=args["all"] or bool(args["action"]),
            types=args["type"],
            actions=args["action"],
            names=names,
        )
        for engine in context.find.engines(wanted)
    ]


def _since(args: Any) -> timedelta:
    return args["since"] or SINCE


def _ns_ago(now: datetime, ago: timedelta) -> int:
    return int((now - ago).timestamp()) * 1_000_000_000


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
    listed = [event for result in answered for event in result.value.rows]
    if args["target"]:
        selected = _selected_subjects(results, {ref for event in listed for ref in _subjects(event)})
        listed = [event for event in listed if not selected.isdisjoint(_subjects(event))]
    ordered = sorted(listed, key=lambda event: event.at_ns)
    folded = [event_text.ShownEvent(event=event) for event in ordered] if args["all"] else event_text.fold(ordered)
    shown = folded[-args["limit"] :]
    notes = _notes(results) + formatting.engine_error_notes(results) + _without_history(results)
    if len(folded) > len(shown):
        notes.insert(
            0, Text(text=f"{len(folded) - len(shown):,} older events are left out; --limit {MAX_EVENTS} shows more.")
        )
    where = formatting.engine_columns(result.action.engine for result in results)
    rows = [
        [
            _clock(one.event.at_ns, context.now),
            event_text.what(one.event),
            event_text.name(one.event),
            *formatting.engine_cells(where, one.event.subject.engine),
            _detail(one, context.now),
        ]
        for one in shown
    ]
    ending = Ending.OK
    if not rows:
        ending = formatting.failed_ending(results) if not answered else Ending.NOTHING if args["target"] else Ending.OK
    columns = ("TIME", "WHAT", "NAME", *where, "DETAIL")
    table = Table(columns=columns, rows=rows, empty=_nothing(args), wrap=True)
    return Reply(blocks=(*([table] if answered else []), *notes), ending=ending)


def _notes(results: Sequence[Result]) -> list[Text]:
    """What the engines' answers say is missing, each sentence once."""
    notes = dict.fromkeys(note for result in results if result.error is None for note in result.value.notes)
    return [Text(text=note, tone=Tone.WARN) for note in notes]


def _nothing(args: Any) -> str:
    what = "No such event happened" if args["type"] or args["action"] else "Nothing happened"
    subjects = f" to {', '.join(args['target'])}" if args["target"] else ""
    since = formatting.span(_since(args).total_seconds())
    if args["until"]:
        return f"{what}{subjects} between {since} and {formatting.span(args['until'].total_seconds())} ago."
    return f"{what}{subjects} in the last {since}."


def _detail(one: event_text.ShownEvent, now: datetime) -> str:
    text = event_text.detail(one.event)
    repeated = f"{one.times:,} times since {_clock(one.first_ns, now)}" if one.times > 1 else ""
    return "; ".join(filter(None, (text, repeated)))


def _clock(at_ns: int, now: datetime) -> str:
    return formatting.clock(datetime.fromtimestamp(at_ns / 1e9, UTC), now)


def _subjects(event: Event) -> Sequence[Ref]:
    """The resource of the event, and the container that a network event is about."""
    attached = event.attrs.get("container_name")
    if not attached:
        return (event.subject,)
    engine = event.subject.engine
    return (event.subject, Ref(engine=engine, kind=Kind.CONTAINER, id=event.attrs["container"], name=attached))


def _selected_subjects(results: Sequence[Result], subjects: Collection[Ref]) -> Set[Ref]:
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
    examples=(
        "events",
        "events web --since 10m",
        "events --since 2h --until 1h --action died",
        "events --type image --type network --limit 200",
        "events --all",
    ),
    plan=plan,
    render=render,
    verbs=("event.list",),
    args=(
        OPTIONAL_TARGETS,
        Arg(
            name="--since",
            short="S",
            type=ArgType.DURATION,
            help="only events of the last TIME, for example 90s, 10m, 2h or 1d (default 1h)",
        ),
        Arg(name="--until", type=ArgType.DURATION, help="only events that happened at least TIME ago"),
        Arg(name="--type", many=True, choices=TYPES, help="only events of this type"),
        Arg(
            name="--action",
            many=True,
            help="only what this word names, such as died, oom, 'health*' or pull (globs allowed)",
        ),
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
            help="also show networks, volumes, commands run inside containers, and every repetition",
        ),
        HOST,
        ENGINE,
    ),
)
