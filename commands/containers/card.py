"""`card NAME`, or only `NAME`: shows one container on one card: its status, its last end, its usage, its newest log
lines, and buttons. A name that means several containers lists them.

Each part is read by its own action, with its own permission. A part that the requester may not see, or that the engine
does not support, is left out. A part that an engine does not answer in time is left out, and the card says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from commands._shared import container_logs, container_status, event_text, formatting, next_steps
from commands.containers import ps
from commands.spec import CONTAINER_NAMES, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model.actions import Action, ListContainers, ReadLogs
from core.model.containers import Container, Containers
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind, EventList
from core.model.refs import Ref
from core.model.replies import Block, Fields, Lines, Reply, Text, Tone
from core.model.resource_usage import ReadUsage, Usage, Usages
from core.model.results import LogPage
from core.text import command_line

LOG_LINES = 3
ENDS_SINCE = timedelta(hours=24)
MAX_ENDS = 200  # that are counted
# What a part is called in the note that it is missing.
PARTS = {
    ListContainers.verb: "The status",
    ListEvents.verb: "The last end",
    ReadUsage.verb: "The usage",
    ReadLogs.verb: "The log",
}


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await _find(context)
    if len(refs) > 1:
        return [ListContainers(engine=engine) for engine in dict.fromkeys(ref.engine for ref in refs)]
    ref = refs[0]
    since = int((context.now - ENDS_SINCE).timestamp()) * 1_000_000_000
    return [
        ListContainers(engine=ref.engine),
        ListEvents(
            engine=ref.engine,
            since_ns=since,
            limit=MAX_ENDS,
            types=("container",),
            actions=(str(EventKind.DIED),),
            names=((ref.name, (ref,)),),
        ),
        ReadUsage(engine=ref.engine, only=(ref.id,), running=(ref,)),
        ReadLogs(engine=ref.engine, target=ref, tail=LOG_LINES),
    ]


async def _find(context: Context) -> Sequence[Ref]:
    """Finds the containers of the name. Raises UnknownCommand if only a word was typed that is no name either."""
    try:
        return await context.find.find(query(context))
    except (errors.NotFound, errors.EngineError) as error:
        hint = context.args.get("unknown_command")
        if hint is None:
            raise
        word = command_line.abbreviate(context.args["target"])
        reason = "" if isinstance(error, errors.NotFound) else f" {error.message}"
        similar = error.hint if error.hint.startswith("Did you mean") else ""
        raise errors.UnknownCommand(
            f"There is no command and no container “{word}”.{reason}", hint=" ".join(filter(None, (similar, hint)))
        ) from error


def render(context: Context, results: Sequence[Result]) -> Reply:
    logs = next((result for result in results if isinstance(result.action, ReadLogs)), None)
    if logs is None:
        several = ps.command.args
        args = {arg.key: () if arg.many else arg.default for arg in several} | {"target": (context.args["target"],)}
        return ps.render(replace(context, args=args), results)
    assert isinstance(logs.action, ReadLogs)
    ref = logs.action.target
    row, end, usage = _row(results, ref), _newest_end(results, ref), _usage_of(results, ref)
    texts = {
        "Status": _status(row) if row is not None else "",
        "Service": row.group_name if row is not None else "",
        "Image": formatting.image(row.image) if row is not None else "",
        "Ports": formatting.ports(row.ports) if row is not None else "",
        "Last end": "" if end is None else _last_end(context, end, len(_ends(results, ref))),
        "Usage": "" if usage is None else ", ".join(filter(None, (_processor(usage), _memory(usage)))),
    }
    blocks: list[Block] = [
        Fields(title=f"{ref.name} ({ref.engine})", fields={name: text for name, text in texts.items() if text})
    ]
    values: list[Any] = [value for value in (row, end, usage) if value is not None]
    if isinstance(logs.value, LogPage) and logs.value.lines:
        values += [container_logs.shown_line(ref, line) for line in logs.value.lines]
        lines = [line.text for line in logs.value.lines]
        title = "The last log line" if len(lines) == 1 else f"The last {len(lines)} log lines"
        blocks.append(Lines(title=title, lines=lines))
    return Reply(
        blocks=(*blocks, *_missing(results)), buttons=next_steps.offer_next_steps(context, [ref]), values=values
    )


def _row(results: Sequence[Result], ref: Ref) -> Container | None:
    listed = (result.value for result in results if isinstance(result.value, Containers))
    return next((row for each in listed for row in each.rows if row.ref.id == ref.id), None)


def _status(row: Container) -> str:
    known = row.health and row.health not in row.status
    more = row.health if known else container_status.no_exit_code(row)
    return f"{row.status or row.state} ({more})" if more else row.status or row.state


def _ends(results: Sequence[Result], ref: Ref) -> Sequence[Event]:
    """Returns the ends of this container, and of earlier ones with its name."""
    lists = (result.value for result in results if isinstance(result.value, EventList))
    return [
        event
        for each in lists
        for event in each.rows
        if event.kind is EventKind.DIED and (event.subject.id == ref.id or event.subject.name == ref.name)
    ]


def _newest_end(results: Sequence[Result], ref: Ref) -> Event | None:
    return max(_ends(results, ref), key=lambda event: event.at_ns, default=None)


def _last_end(context: Context, last: Event, number: int) -> str:
    """The time and the cause of the last end, and how often it ended in the last day."""
    at = datetime.fromtimestamp(last.at_ns / 1e9, UTC)
    ago = formatting.span(max(0.0, (context.now - at).total_seconds()))
    times = f"; {number}× in the last 24 h" if number > 1 else ""
    return f"{ago} ago: {event_text.format_detail(last) or 'its cause is not known'}{times}"


def _usage_of(results: Sequence[Result], ref: Ref) -> Usage | None:
    lists = (result.value for result in results if isinstance(result.value, Usages))
    return next((row for each in lists for row in each.rows if row.ref.id == ref.id), None)


def _processor(usage: Usage) -> str:
    return "" if usage.cpu_percent is None else f"CPU {usage.cpu_percent:.1f} %"


def _memory(usage: Usage) -> str:
    if usage.memory is None:
        return ""
    used = f"memory {formatting.size(usage.memory, binary=True)}"
    if not usage.memory_limit:
        return used
    share = 100 * usage.memory / usage.memory_limit
    return f"{used} of {formatting.size(usage.memory_limit, binary=True)} ({share:.0f} %)"


def _missing(results: Sequence[Result]) -> list[Text]:
    """A sentence for each part that an engine did not answer. What is refused or not supported is not mentioned."""
    return [
        Text(text=f"{PARTS[result.action.verb]} is left out: {result.error.message}", tone=Tone.WARN)
        for result in results
        if isinstance(result.error, errors.EngineError)
    ]


command = Command(
    name="card",
    summary="show a container's status, usage, newest log lines, and why it ended",
    examples=("card web", "web"),
    plan=plan,
    render=render,
    verbs=(ListContainers.verb,),
    optional=tuple(verb for verb in PARTS if verb != ListContainers.verb),
    shows=(Container, Event, Usage, container_logs.ShownLine),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            required=True,
            help=f"{CONTAINER_NAMES}; several containers are shown as a list; the word `card` can be left out",
        ),
    ),
)
