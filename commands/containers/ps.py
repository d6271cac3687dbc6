"""`ps`: lists the containers of all engines, by project and service. If an engine does not answer, only its own rows
are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, list_commands, next_steps
from commands.spec import OPTIONAL_TARGETS, SELECTION, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model import containers
from core.model.actions import Action, ListContainers
from core.model.refs import Kind, Ref
from core.model.replies import Block, Ending, Lines, Reply, Table, Text, Tone

# The states that `docker ps` shows without -a.
LIVE = frozenset({"running", "paused", "restarting", "removing"})
STALE_SECONDS = 60.0  # from this age on, the reply names the age of a list


async def plan(context: Context) -> Sequence[Action[Any]]:
    return [
        ListContainers(engine=engine, fresh=context.args["fresh"]) for engine in context.find.engines(query(context))
    ]


def render(context: Context, results: Sequence[Result]) -> Reply:
    args = context.args
    listed = [result for result in results if isinstance(result.value, containers.Containers)]
    known = [row for result in listed for row in result.value.rows if formatting.has_labels(args["label"], row.labels)]
    selected, unmatched = list_commands.select(Kind.CONTAINER, args["target"], known)
    rows = sorted((row for row in selected if _wanted(args, row)), key=_order)
    refs = [row.ref for row in rows]
    notes = formatting.engine_error_notes(results) + _ages(listed)
    if args["quiet"]:
        ids = [ref.short_id for ref in refs]
        ending = _ending(results, unmatched, refs)
        return Reply(blocks=(*([Lines(lines=ids)] if ids else []), *notes), ending=ending, values=rows)
    if not rows:
        # Where no engine answered, it is not known whether there are any.
        blocks: list[Block] = [_no_rows(context, known, unmatched)] if listed else []
    else:
        where = formatting.engine_columns(result.action.engine for result in results)
        group = ["SERVICE"] if any(row.group_name for row in rows) else []
        table = [
            [
                *(row.ref.name, row.ref.short_id),
                *([row.group_name] if group else []),
                *(formatting.image(row.image), row.status or row.state, formatting.ports(row.ports)),
                *formatting.engine_cells(where, row.ref.engine),
            ]
            for row in rows
        ]
        blocks = [Table(columns=("NAME", "ID", *group, "IMAGE", "STATUS", "PORTS", *where), rows=table)]
        blocks += [Text(text=error.full_message(), tone=Tone.WARN) for error in unmatched]
    buttons = next_steps.offer(context, refs)
    return Reply(blocks=(*blocks, *notes), buttons=buttons, ending=_ending(results, unmatched, refs), values=rows)


def _wanted(args: Any, row: containers.Container) -> bool:
    if args["health"] and row.health != args["health"]:
        return False
    if args["state"]:
        return row.state in args["state"]
    # Whoever names a container wants to see it, most of all when it is not running.
    return bool(args["all"] or args["target"] or args["health"]) or row.state in LIVE


def _order(row: containers.Container) -> tuple[str, str, tuple[str | int, ...], str]:
    """Sorts by project and service, and web-2 before web-10."""
    return (row.project or "", row.service or "", _natural(row.ref.name), str(row.ref.engine))


def _natural(name: str) -> tuple[str | int, ...]:
    # Text and digits alternate, so that text is always compared with text and numbers with numbers.
    return tuple(int(part) if at % 2 else part for at, part in enumerate(re.split(r"([0-9]{1,9})", name)))


def _no_rows(
    context: Context, known: Sequence[containers.Container], unmatched: Sequence[errors.QuarterdeckError]
) -> Text:
    if unmatched:
        return Text(text=" ".join(error.full_message() for error in unmatched), tone=Tone.WARN)
    args = context.args
    chosen = any(args[key] for key in ("target", "label", "host", "engine", "state", "health"))
    down = sum(1 for row in known if row.state not in LIVE)
    if chosen:
        return Text(text="No container matches. List all of them with: ps -a")
    if down and not args["all"]:
        return Text(text=f"No container is running. Show stopped containers ({down}) with: ps -a")
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
    if any(result.error is not None for result in results):
        return formatting.failed_ending(results)
    return Ending.NOTHING if unmatched else Ending.OK


command = Command(
    name="ps",
    summary="list containers",
    examples=("ps", "ps -a", "ps web", "ps --label app=shop --health unhealthy", "ps 'shop-*' --host 'prod-*' -q"),
    plan=plan,
    render=render,
    verbs=("container.list",),
    aliases=("ls", "list", "container ls"),
    args=(
        OPTIONAL_TARGETS,
        Arg(name="--all", short="a", type=ArgType.FLAG, help="include containers that are not running"),
        Arg(name="--state", short="s", many=True, choices=containers.STATES, help="only containers in this state"),
        Arg(name="--health", choices=containers.HEALTH_STATES, help="only containers with this health"),
        Arg(name="--quiet", short="q", type=ArgType.FLAG, help="print only ids"),
        Arg(name="--fresh", type=ArgType.FLAG, help="ask the engines, even if the cached list is current"),
        *SELECTION,
    ),
)
