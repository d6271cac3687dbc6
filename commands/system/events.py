"""`events`: shows what happened to containers, services and images, sorted by time, the newest last, with the cause of
each end. The reply only counts the older events that it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from commands._shared import event_coverage_text, event_selection, event_text, formatting
from commands._shared.event_coverage_text import UnknownTimes
from commands.spec import CONTAINER_NAMES, ENGINE, HOST, OPTIONAL_TARGETS, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model import events
from core.model.actions import Action
from core.model.background_jobs import FollowResult
from core.model.event_actions import ListEvents
from core.model.refs import Ref
from core.model.replies import Ending, Reply, Table, Text, Tone
from core.ports import Query

SINCE = timedelta(hours=1)
LIMIT = 50
PRIORITY = ("NAME", "TIME", "WHAT", "DETAIL", "HOST", "ENGINE")
MAX_EVENTS = 1_000
MAX_FOLLOWED = 20  # engines
MAX_SEARCHED = 5_000  # events of one engine among which those of a name, type or action are chosen
TYPES = (
    *("container", "image", "service", "task", "pod", "node", "engine", "network", "volume"),
    *("config", "secret", "plugin", "daemon", "namespace"),
)
LIFECYCLE_TYPES = events.LIFECYCLE_TYPES | {"container", "engine"}


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    _check_times(context)
    # Names are matched in `render`, so `--limit` cannot be given to the engines.
    wanted = query(context)
    names = tuple([(name, await _containers(context, replace(wanted, names=(name,)))) for name in wanted.names])
    chosen = bool(args["type"] or args["action"] or names)
    engines = context.find.engines(wanted)
    if args["follow"] and len(engines) > MAX_FOLLOWED:
        raise errors.BadUsage(
            f"events -f follows at most {MAX_FOLLOWED} engines at once, but {len(engines)} are selected.",
            hint="Select fewer engines with --host or --engine.",
        )
    new_only = args["follow"] and args["since"] is None
    return [
        ListEvents(
            engine=engine,
            since_ns=_ns(context.now if new_only else _since(context)),
            until_ns=0 if args["until"] is None else _ns(args["until"].before(context.now)),
            limit=args["limit"] if args["follow"] else MAX_SEARCHED if chosen or args["all"] else MAX_EVENTS,
            lifecycle=not args["all"] and not args["action"] and LIFECYCLE_TYPES.issuperset(args["type"]),
            probes=args["all"] or bool(args["action"]),
            types=args["type"],
            actions=args["action"],
            names=names,
            follow=args["follow"],
            coverage=not args["follow"],
        )
        for engine in engines
    ]


def _check_times(context: Context) -> None:
    args = context.args
    if args["until"] is None:
        return
    if args["follow"]:
        raise errors.BadUsage("--follow and --until cannot be combined.", hint="Leave one of them out.")
    since, until = _since(context), args["until"].before(context.now)
    if until <= since:
        raise errors.BadUsage(
            f"--until {formatting.moment(until)} is not later than --since {formatting.moment(since)}.",
            hint="Give an earlier --since, for example --since 2h --until 1h.",
        )


def _since(context: Context) -> datetime:
    given = context.args["since"]
    return context.now - SINCE if given is None else given.before(context.now)


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000


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
    store = "stores" if len(named) == 1 else "store"
    return [Text(text=f"{engines} {store} no past events. A running bot shows those that it received itself.")]


def _unknown_times(context: Context, answered: Sequence[Result]) -> UnknownTimes:
    until = context.args["until"]
    coverages = [
        (result.action.engine, coverage) for result in answered if (coverage := result.value.coverage) is not None
    ]
    until_ns = _ns(context.now if until is None else until.before(context.now))
    return event_coverage_text.find_unknown_times(coverages, _ns(_since(context)), until_ns, context.now)


def render(context: Context, results: Sequence[Result]) -> Reply:
    args = context.args
    if args["follow"]:
        return _followed(results)
    answered = [result for result in results if result.error is None]
    listed = [event for result in answered for event in result.value.rows]
    if args["target"]:
        names = [pair for result in results if isinstance(result.action, ListEvents) for pair in result.action.names]
        listed = list(event_selection.select_events(names, listed))
    ordered = sorted(listed, key=lambda event: event.at_ns)
    folded = [event_text.ShownEvent(event=event) for event in ordered] if args["all"] else event_text.fold(ordered)
    shown = folded[-args["limit"] :]
    unknown = _unknown_times(context, answered)
    empty = _nothing(context, known=not unknown and len(answered) == len(results))
    notes = _notes(results) + formatting.engine_error_notes(results) + _without_history(results)
    if not shown and unknown.only:
        empty = unknown.only
    else:
        notes += [Text(text=note, tone=Tone.WARN) for note in unknown.notes]
    if len(folded) > len(shown):
        notes.insert(
            0, Text(text=f"{len(folded) - len(shown):,} older events are left out; --limit {MAX_EVENTS} shows more.")
        )
    where = formatting.engine_columns(formatting.asked(results), (one.event.subject.engine for one in shown))
    rows = [
        [
            formatting.moment(one.event.at_ns / 1e9),
            _what(one),
            event_text.format_resource_name(one.event),
            *formatting.engine_cells(where, one.event.subject.engine),
            _detail(one, context.now),
        ]
        for one in shown
    ]
    ending = Ending.OK
    if not rows:
        ending = formatting.failed_ending(results) if not answered else Ending.NOTHING if args["target"] else Ending.OK
    columns = ("TIME", "WHAT", "NAME", *where, "DETAIL")
    table = Table(columns=columns, rows=rows, empty=empty, wrap=True, priority=PRIORITY)
    return Reply(blocks=(*([table] if answered else []), *notes), ending=ending, values=shown)


def _followed(results: Sequence[Result]) -> Reply:
    """One sentence for all engines that were followed, and one for each that failed."""
    ends = [(result.action.engine, result.value) for result in results if isinstance(result.value, FollowResult)]
    blocks: list[Text] = []
    if ends:
        whose = str(ends[0][0]) if len(ends) == 1 else f"{len(ends)} engines"
        skipped = sum(end.skipped for _, end in ends)
        received = formatting.count(sum(end.lines for _, end in ends), "event")
        text = f"Followed the events of {whose} for {formatting.span(max(end.seconds for _, end in ends))}: {received}"
        text += f", {skipped:,} of them not shown" if skipped else ""
        reasons = dict.fromkeys(end.why.removesuffix(".") for _, end in ends)
        failed = all(end.failed for _, end in ends)
        blocks.append(Text(text=f"{text}; {'; '.join(reasons)}.", tone=Tone.BAD if failed else Tone.PLAIN))
    blocks += formatting.engine_error_notes(results)
    if not ends:
        return Reply(blocks=blocks, ending=formatting.failed_ending(results))
    return Reply(blocks=blocks, ending=Ending.FAILED if failed else Ending.OK)


def _notes(results: Sequence[Result]) -> list[Text]:
    """What the engines' answers say is missing, each sentence once."""
    notes = dict.fromkeys(note for result in results if result.error is None for note in result.value.notes)
    return [Text(text=note, tone=Tone.WARN) for note in notes]


def _nothing(context: Context, *, known: bool) -> str:
    """`known`: every event of the time would be known."""
    args, now = context.args, context.now
    chosen = args["type"] or args["action"]
    what = "No such event happened" if chosen else "Nothing happened"
    subjects = f" to {', '.join(args['target'])}" if args["target"] else ""
    if not known:
        of = f" of {', '.join(args['target'])}" if args["target"] else ""
        what, subjects = f"No {'such ' if chosen else ''}event{of} is known", ""
    if args["until"]:
        since, until = formatting.moment(_since(context)), formatting.moment(args["until"].before(now))
        return f"{what}{subjects} between {since} and {until}."
    if args["since"] is not None and args["since"].ago is None:
        return f"{what}{subjects} since {formatting.moment(_since(context))}."
    return f"{what}{subjects} in the last {formatting.span((now - _since(context)).total_seconds())}."


def _what(one: event_text.ShownEvent) -> str:
    what = event_text.format_title(one.event)
    return f"{what} {one.times:,}×" if one.times > 1 else what


def _detail(one: event_text.ShownEvent, now: datetime) -> str:
    text = event_text.format_detail(one.event)
    if one.times == 1:
        return text
    ago = formatting.span(max(0.0, now.timestamp() - one.event.at_ns / 1e9))
    return ", ".join(filter(None, (text, f"last {ago} ago, first at {formatting.moment(one.first_ns / 1e9)}")))


command = Command(
    name="events",
    summary="show recent events",
    examples=(
        "events",
        "events web --since 10m",
        "events --since 2h --until 1h --action died",
        "events --since 14:05 --until 14:20",
        "events --type image --type network --limit 200",
        "events --all",
        "events -f --engine docker",
    ),
    plan=plan,
    render=render,
    verbs=("event.list",),
    shows=(event_text.ShownEvent, FollowResult),
    args=(
        replace(
            OPTIONAL_TARGETS,
            help=f"{CONTAINER_NAMES}; or name of another resource, such as an image; without TARGET: all",
        ),
        Arg(
            name="--since",
            short="S",
            type=ArgType.MOMENT,
            help="only events since TIME: 10m, 2h or 1d ago, or 14:05 or 2026-11-29T14:05 (default 1h; with --follow:"
            " only new events)",
        ),
        Arg(name="--until", type=ArgType.MOMENT, help="only events until TIME, written like --since"),
        Arg(name="--type", many=True, choices=TYPES, help="only events of this type"),
        Arg(
            name="--action",
            many=True,
            help="only events with this action, such as died, oom, 'health*' or pull (globs allowed)",
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
            help="also show events of the other types, such as network and volume, of programs that are run in"
            " containers, and each repetition of an event",
        ),
        Arg(
            name="--follow",
            short="f",
            type=ArgType.FLAG,
            help="show new events as they happen, for at most ten minutes",
        ),
        HOST,
        ENGINE,
    ),
)
