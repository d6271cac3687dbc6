"""`stats`: shows the CPU, memory and I/O usage of running containers, the busiest first. With `--since`, shows how CPU
and memory developed. An unknown value is a dash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from commands._shared import formatting
from commands.spec import OPTIONAL_TARGETS, SELECTION, Arg, ArgType, Command, Context, Result, query
from core import errors
from core.model.actions import Action
from core.model.refs import EngineRef
from core.model.replies import Block, Ending, Reply, Table, Text, Tone
from core.model.resource_usage import ReadUsage, Usage, Usages
from core.text.sparkline import draw_sparkline

NOT_KNOWN = "-"
MAX_ROWS = 500
ORDERS: Mapping[str, Callable[[Usage], Any]] = {
    "cpu": lambda row: -(row.cpu_percent or 0.0),
    "memory": lambda row: -(row.memory or 0),
    "network": lambda row: -((row.network_received or 0) + (row.network_sent or 0)),
    "block": lambda row: -((row.block_read or 0) + (row.block_written or 0)),
    "pids": lambda row: -(row.processes or 0),
    "name": lambda row: row.ref.name,
}
HISTORY_COLUMNS = ("NAME", "CPU % AVG", "CPU % MAX", "CPU OVER TIME", "MEM AVG", "MEM MAX", "MEM OVER TIME")
MAX_SINCE = timedelta(hours=1)
BUCKETS = 20
COLUMNS = ("NAME", "CPU %", "MEM / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS")


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = query(context)
    span = context.args["since"]
    if span and span > MAX_SINCE:
        raise errors.BadUsage(
            f"--since {formatting.exact_span(span)} goes back too far: the usage of one hour is stored.",
            hint="Write a shorter time, such as --since 1h.",
        )
    since = (context.now - span).timestamp() if span else 0
    if not (wanted.names or wanted.labels):
        return [ReadUsage(engine=engine, since=since) for engine in context.find.engines(wanted)]
    chosen: dict[EngineRef, list[str]] = defaultdict(list)
    for ref in await context.find.find(replace(wanted, every_match=True)):
        chosen[ref.engine].append(ref.id)
    return [ReadUsage(engine=engine, only=tuple(ids), since=since) for engine, ids in chosen.items()]


def render(context: Context, results: Sequence[Result]) -> Reply:
    answered = [result for result in results if isinstance(result.value, Usages)]
    rows = [row for result in answered for row in result.value.rows]
    rows.sort(key=lambda row: (ORDERS[context.args["sort"]](row), row.ref.name, str(row.ref.engine)))
    shown = rows[: context.args["limit"]]
    blocks: list[Block] = []
    if context.args["since"]:
        return _render_history(context, results, rows)
    if shown:
        where = formatting.engine_columns(formatting.asked(results), (row.ref.engine for row in shown))
        cells = [[*_cells(row), *formatting.engine_cells(where, row.ref.engine)] for row in shown]
        blocks.append(Table(columns=(*COLUMNS, *where), rows=cells, priority=("NAME", *where)))
    elif answered:
        blocks.append(Text(text="None of these containers is running." if _named(answered) else "Nothing is running."))
    if len(rows) > len(shown):
        blocks.append(
            Text(text=f"{len(rows) - len(shown):,} more containers are left out; --limit {MAX_ROWS} shows more.")
        )
    blocks += [
        Text(text=f"{result.action.engine}: {result.value.missing}", tone=Tone.WARN)
        for result in answered
        if result.value.missing
    ]
    without = _named(answered) - len(rows)
    if rows and without > 0 and not any(result.value.missing for result in answered):
        verb = "is" if without == 1 else "are"
        blocks.append(
            Text(text=f"{formatting.count(without, 'container')} of those named {verb} not running.", tone=Tone.WARN)
        )
    ending = Ending.OK if answered else formatting.failed_ending(results)
    return Reply(blocks=(*blocks, *formatting.engine_error_notes(results)), ending=ending, values=shown)


def _render_history(context: Context, results: Sequence[Result], rows: Sequence[Usage]) -> Reply:
    """Renders the past readings: the average, the maximum and a line of bars for each container."""
    shown = [row for row in rows if row.points][: context.args["limit"]]
    span = formatting.span(context.args["since"].total_seconds())
    blocks: list[Block] = []
    if shown:
        where = formatting.engine_columns(formatting.asked(results), (row.ref.engine for row in shown))
        cells = [[*_history_cells(row, context), *formatting.engine_cells(where, row.ref.engine)] for row in shown]
        blocks.append(Table(columns=(*HISTORY_COLUMNS, *where), rows=cells, priority=("NAME", *where)))
    else:
        text = f"There are no readings of the last {span}. Only a running bot stores them, for one hour."
        blocks.append(Text(text=text))
    ending = Ending.OK if shown or not results else formatting.failed_ending(results)
    return Reply(blocks=(*blocks, *formatting.engine_error_notes(results)), ending=ending, values=shown)


def _history_cells(row: Usage, context: Context) -> Sequence[str]:
    since = (context.now - context.args["since"]).timestamp()
    cells = [row.ref.name]
    for name, show in (("cpu_percent", lambda value: f"{value:.1f}"), ("memory", _size)):
        pairs = [(point.at, value) for point in row.points if (value := getattr(point, name)) is not None]
        values = [value for _, value in pairs]
        if not values:
            cells += [NOT_KNOWN, NOT_KNOWN, NOT_KNOWN]
            continue
        bars = _bars(pairs, since, context.now.timestamp())
        cells += [show(sum(values) / len(values)), show(max(values)), bars]
    return cells


def _bars(pairs: Sequence[tuple[int, float]], since: float, until: float) -> str:
    """Draws values over time: BUCKETS bars, each the highest value of its part of the time; a space without one."""
    buckets: list[float | None] = [None] * BUCKETS
    for at, value in pairs:
        index = min(BUCKETS - 1, max(0, int((at - since) / max(1.0, until - since) * BUCKETS)))
        buckets[index] = max(value, buckets[index] or 0.0)
    return draw_sparkline(buckets)


def _named(answered: Sequence[Result]) -> int:
    """How many containers were asked about by name; 0 where all were."""
    return sum(len(result.action.only) for result in answered if isinstance(result.action, ReadUsage))


def _cells(row: Usage) -> Sequence[str | int | float]:
    memory, limit = (_size(row.memory), _size(row.memory_limit)) if row.memory is not None else (NOT_KNOWN, NOT_KNOWN)
    share = f"{100 * row.memory / row.memory_limit:.1f}" if row.memory is not None and row.memory_limit else NOT_KNOWN
    return (
        row.ref.name,
        NOT_KNOWN if row.cpu_percent is None else f"{row.cpu_percent:.1f}",
        memory if row.memory_limit is None else f"{memory} / {limit}",
        share,
        _pair(row.network_received, row.network_sent),
        _pair(row.block_read, row.block_written),
        NOT_KNOWN if row.processes is None else row.processes,
    )


def _size(number: float | None) -> str:
    return NOT_KNOWN if number is None else formatting.size(number, binary=True)


def _pair(into: int | None, out: int | None) -> str:
    if into is None and out is None:
        return NOT_KNOWN
    return " / ".join(NOT_KNOWN if number is None else formatting.size(number) for number in (into, out))


command = Command(
    name="stats",
    summary="show CPU, memory and I/O usage of running containers",
    examples=(
        "stats",
        "stats web api",
        "stats 'shop-*' --sort memory",
        "stats web --since 1h",
        "stats --host 'prod-*' --limit 10",
    ),
    plan=plan,
    render=render,
    verbs=(ReadUsage.verb,),
    args=(
        OPTIONAL_TARGETS,
        Arg(
            name="--sort",
            short="s",
            choices=tuple(ORDERS),
            default="cpu",
            help="sort by this column, the greatest value first",
        ),
        Arg(
            name="--limit",
            short="n",
            type=ArgType.COUNT,
            default=50,
            maximum=MAX_ROWS,
            help="show the first COUNT containers",
        ),
        Arg(
            name="--since",
            short="S",
            type=ArgType.DURATION,
            help="show how CPU and memory usage changed in the last DURATION, such as 10m, at most 1h",
        ),
        *SELECTION,
    ),
)
