"""`stats`: shows the CPU, memory and I/O usage of running containers, the busiest first. An unknown value is a dash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from commands._shared import formatting
from commands.spec import OPTIONAL_TARGETS, SELECTION, Arg, ArgType, Command, Context, Result, query
from core.model.actions import Action
from core.model.refs import EngineRef
from core.model.replies import Block, Ending, Reply, Table, Text, Tone
from core.model.resource_usage import ReadUsage, Usage, Usages

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
COLUMNS = ("NAME", "CPU %", "MEM / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS")


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = query(context)
    if not (wanted.names or wanted.labels):
        return [ReadUsage(engine=engine) for engine in context.find.engines(wanted)]
    chosen: dict[EngineRef, list[str]] = defaultdict(list)
    for ref in await context.find.find(replace(wanted, every_match=True)):
        chosen[ref.engine].append(ref.id)
    return [ReadUsage(engine=engine, only=tuple(ids)) for engine, ids in chosen.items()]


def render(context: Context, results: Sequence[Result]) -> Reply:
    answered = [result for result in results if isinstance(result.value, Usages)]
    rows = [row for result in answered for row in result.value.rows]
    rows.sort(key=lambda row: (ORDERS[context.args["sort"]](row), row.ref.name, str(row.ref.engine)))
    shown = rows[: context.args["limit"]]
    blocks: list[Block] = []
    if shown:
        where = formatting.engine_columns(result.action.engine for result in results)
        cells = [[*_cells(row), *formatting.engine_cells(where, row.ref.engine)] for row in shown]
        blocks.append(Table(columns=(*COLUMNS, *where), rows=cells))
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
    return Reply(blocks=(*blocks, *formatting.engine_error_notes(results)), ending=ending)


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


def _size(number: int | None) -> str:
    return NOT_KNOWN if number is None else formatting.size(number, binary=True)


def _pair(into: int | None, out: int | None) -> str:
    if into is None and out is None:
        return NOT_KNOWN
    return " / ".join(NOT_KNOWN if number is None else formatting.size(number) for number in (into, out))


command = Command(
    name="stats",
    summary="show CPU, memory and I/O usage of running containers",
    examples=("stats", "stats web api", "stats 'shop-*' --sort memory", "stats --host 'prod-*' --limit 10"),
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
            help="show at most COUNT containers",
        ),
        *SELECTION,
    ),
)
