"""`ps`: lists the containers of all engines, those with problems first, and summarises the problems in one line. If an
engine does not answer, only its own rows are missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from commands._shared import (
    container_filters,
    container_status,
    formatting,
    list_commands,
    list_format,
    next_steps,
    ps_format_fields,
)
from commands.spec import OPTIONAL_TARGETS, SELECTION, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model import containers
from core.model.actions import Action, ListContainers
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Block, Ending, Lines, Reply, Table, Text, Tone

STALE_SECONDS = 60.0  # from this age on, the reply names the age of a list
MAX_LAST = 1_000
PRIORITY = ("NAME", "STATUS", "HOST", "ENGINE", "SERVICE", "IMAGE", "PORTS", "ID")


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    container_filters.parse(args["filter"])
    if args["format"]:
        list_format.parse(args["format"], ps_format_fields.FIELDS, ps_format_fields.UNSUPPORTED_FIELD_HINTS)
    return [ListContainers(engine=engine, fresh=args["fresh"]) for engine in context.find.engines(query(context))]


def render(context: Context, results: Sequence[Result]) -> Reply:
    args = context.args
    listed = [result for result in results if isinstance(result.value, containers.Containers)]
    everything = [row for result in listed for row in result.value.rows]
    known = [row for row in everything if formatting.has_labels(args["label"], row.labels)]
    try:
        filtered = list(filter(container_filters.parse(args["filter"], everything), known))
    except errors.BadUsage as error:
        return formatting.error_reply(error)
    selected, unmatched = list_commands.select(Kind.CONTAINER, args["target"], filtered)
    rows = _rows(args, selected)
    refs = [row.ref for row in rows]
    notes = formatting.engine_error_notes(results) + _ages(listed)
    if args["quiet"]:
        ids = [ref.id if args["no_trunc"] else ref.short_id for ref in refs]
        blocks: list[Block] = [Lines(lines=ids)] if ids else []
    elif args["format"]:
        form = list_format.parse(args["format"], ps_format_fields.FIELDS, ps_format_fields.UNSUPPORTED_FIELD_HINTS)
        whole = args["no_trunc"]
        blocks = [
            *list_format.blocks(
                form, [ps_format_fields.get_container_fields(row, context.now, whole=whole) for row in rows]
            )
        ]
    elif not rows:
        # Where no engine answered, it is not known whether there are any.
        blocks = [_no_rows(context, known, unmatched)] if listed else []
    else:
        blocks = [_summary(args, rows, selected), _table(context, rows, formatting.asked(results))]
        blocks += [Text(text=error.full_message(), tone=Tone.WARN) for error in unmatched]
        blocks += _without_exit_code(rows)
    buttons = () if args["quiet"] or args["format"] else next_steps.offer_next_steps(context, refs)
    return Reply(blocks=(*blocks, *notes), buttons=buttons, ending=_ending(results, unmatched, refs), values=rows)


def _rows(args: Any, selected: Sequence[Container]) -> Sequence[Container]:
    """The rows that are shown, the worst first; with --last the newest first."""
    wanted = [row for row in selected if _wanted(args, row)]
    if _last(args):
        return sorted(wanted, key=lambda row: (-row.created_at, *_order(row)))[: _last(args)]
    return sorted(wanted, key=_order)


def _last(args: Any) -> int:
    return args["last"] or (1 if args["latest"] else 0)


def _wanted(args: Any, row: Container) -> bool:
    if args["health"] and row.health != args["health"]:
        return False
    if args["state"]:
        return row.state in args["state"]
    # Whoever names a container wants to see it, most of all when it is not running.
    return _takes_any_state(args) or row.state in container_status.UP


def _takes_any_state(args: Any) -> bool:
    named = bool(
        args["target"]
        or args["health"]
        or container_filters.parse_filter_keys(args["filter"]) & container_filters.ANY_STATE
    )
    return named or bool(args["all"] or _last(args))


def _order(row: Container) -> tuple[Any, ...]:
    """Sorts by trouble, project and service, and web-2 before web-10."""
    place = (row.project or "", row.service or "", _natural(row.ref.name), str(row.ref.engine))
    return (container_status.trouble(row), *place)


def _natural(name: str) -> tuple[str | int, ...]:
    # Text and digits alternate, so that text is always compared with text and numbers with numbers.
    return tuple(int(part) if at % 2 else part for at, part in enumerate(re.split(r"([0-9]{1,9})", name)))


def _summary(args: Any, rows: Sequence[Container], selected: Sequence[Container]) -> Text:
    """The line that says what is wrong. It is also the notification in Slack."""
    hidden = [] if args["state"] or _takes_any_state(args) else [row for row in selected if row not in rows]
    troubles = {container_status.trouble(row) for row in rows}
    wrong = any(each < container_status.ContainerTrouble.STARTING for each in troubles)
    return Text(text=container_status.summary(rows, hidden), tone=Tone.WARN if wrong else Tone.PLAIN)


def _without_exit_code(rows: Sequence[Container]) -> list[Text]:
    """Returns a sentence about the containers whose exit code their engine does not know."""
    lacking = [row for row in rows if container_status.no_exit_code(row)]
    if not lacking:
        return []
    names = lacking[0].ref.name if len(lacking) == 1 else f"{len(lacking):,} containers"
    return [Text(text=f"{names}: {container_status.no_exit_code(lacking[0])}.")]


def _table(context: Context, rows: Sequence[Container], asked: Sequence[EngineRef]) -> Table:
    whole = context.args["no_trunc"]
    where = formatting.engine_columns(asked, (row.ref.engine for row in rows))
    cells = [
        {
            "NAME": row.ref.name,
            "STATUS": container_status.phrase(row, context.now),
            "SERVICE": row.group_name,
            "IMAGE": row.image if whole else formatting.image(row.image),
            "PORTS": formatting.every_port(row.ports) if whole else formatting.ports(row.ports),
            **dict(zip(where, formatting.engine_cells(where, row.ref.engine), strict=True)),
            "ID": row.ref.id if whole else row.ref.short_id,
        }
        for row in rows
    ]
    columns = [name for name in cells[0] if name not in ("SERVICE", "PORTS") or any(row[name] for row in cells)]
    return Table(
        columns=columns,
        rows=[[row[name] for name in columns] for row in cells],
        priority=PRIORITY,
        tones=[container_status.tone(row) for row in rows],
        toned="STATUS",
        whole=whole,
        row_buttons=next_steps.row_buttons(context, [row.ref for row in rows]),
    )


def _no_rows(context: Context, known: Sequence[Container], unmatched: Sequence[errors.QuarterdeckError]) -> Text:
    if unmatched:
        return Text(text=" ".join(error.full_message() for error in unmatched), tone=Tone.WARN)
    args = context.args
    chosen = any(args[key] for key in ("target", "label", "host", "engine", "state", "health", "filter"))
    down = [row for row in known if row.state not in container_status.UP]
    if chosen:
        return Text(text="No container matches. List all of them with: ps -a")
    if down and not args["all"]:
        failed = sum(container_status.trouble(row) < container_status.ContainerTrouble.NONE for row in down)
        counted = f"{len(down)}, {failed} of them failed" if failed else f"{len(down)}"
        return Text(text=f"No container is running. Show stopped containers ({counted}) with: ps -a")
    return Text(text="There are no containers.")


def _ages(listed: Sequence[Result]) -> list[Text]:
    return [
        Text(
            text=" ".join(filter(None, (f"{result.action.engine}:", result.value.missing, _age(result.value)))),
            tone=Tone.WARN,
        )
        for result in listed
        if result.value.missing or result.value.age >= STALE_SECONDS
    ]


def _age(listed: containers.Containers) -> str:
    """Returns a sentence with the age of a list; empty for an age of less than a second."""
    return f"This list is {formatting.span(listed.age)} old." if listed.age >= 1 else ""


def _ending(results: Sequence[Result], unmatched: Sequence[Any], shown: Sequence[Ref]) -> Ending:
    if shown:
        return Ending.OK
    failed = [result.error for result in results if result.error is not None]
    # An engine without containers, such as a Swarm, is no failure beside one that has them.
    if failed and (len(failed) == len(results) or not all(isinstance(each, errors.Unsupported) for each in failed)):
        return formatting.failed_ending(results)
    return Ending.NOTHING if unmatched else Ending.OK


command = Command(
    name="ps",
    summary="list containers and their problems",
    examples=(
        "ps",
        "ps -a",
        "ps web",
        "ps --label app=shop --health unhealthy",
        "ps 'shop-*' --host 'prod-*' -q",
        "ps --filter status=exited --filter ancestor=nginx",
        "ps -n 5 --format 'table {{.Names}}\\t{{.Status}}'",
    ),
    plan=plan,
    render=render,
    verbs=("container.list",),
    aliases=("ls", "list", "container ls", "status"),
    args=(
        OPTIONAL_TARGETS,
        Arg(name="--all", short="a", type=ArgType.FLAG, help="also show containers that are not running"),
        Arg(name="--state", short="s", many=True, choices=containers.STATES, help="only containers in this state"),
        Arg(name="--health", choices=containers.HEALTH_STATES, help="only containers with this health"),
        Arg(
            name="--filter",
            short="f",
            many=True,
            placeholder="KEY=VALUE",
            help="only containers with this value, such as status=exited, exited=137, name=web or ancestor=nginx (as"
            " for `docker ps`)",
        ),
        Arg(
            name="--last",
            short="n",
            type=ArgType.COUNT,
            maximum=MAX_LAST,
            help="only the COUNT containers that were created last, in any state",
        ),
        Arg(name="--latest", type=ArgType.FLAG, help="only the container that was created last, like -n 1"),
        list_format.make_format_argument("Names"),
        Arg(name="--no-trunc", type=ArgType.FLAG, help="show whole ids and image names, and each port"),
        Arg(name="--quiet", short="q", type=ArgType.FLAG, help="print only ids"),
        Arg(name="--fresh", type=ArgType.FLAG, help="ask the engines, even if the cached list is current"),
        *SELECTION,
    ),
)
