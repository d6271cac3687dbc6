"""`df`: shows the disk usage of engines, like `docker system df`. A large engine needs minutes to measure it, so
the engines are asked at the same time, and an engine may answer with a measurement that is a few minutes old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, targets
from commands.spec import ENGINE, HOST, Arg, Command, Context, Result
from core.model.actions import Action
from core.model.disk_use import DiskUse, ReadDiskUse
from core.model.replies import Block, Reply, Table, Text
from core.ports import Query

COLUMNS = ("ENGINE", "IMAGES", "VOLUMES", "UNUSED VOLUMES", "CONTAINERS", "BUILD CACHE")
SLOW_SECONDS = 10.0  # from this time on, the reply says how long the engine needed
OLD_SECONDS = 30.0  # from this age on, the reply says how old the measurement is


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    wanted = Query(engine=targets.engine_pattern(context), host=args["host"] or "", verb=ReadDiskUse.verb)
    return [ReadDiskUse(engine=engine) for engine in context.find.engines(wanted)]


def render(context: Context, results: Sequence[Result]) -> Reply:
    found = [(result.action.engine, result.value) for result in results if isinstance(result.value, DiskUse)]
    notes = formatting.engine_error_notes(results)
    if not found:
        return Reply(blocks=notes or (Text(text="There are no engines."),), ending=formatting.failed_ending(results))
    rows = [
        (
            str(engine),
            *(_size(use.images), _size(use.volumes)),
            "" if use.unused_volumes is None else str(use.unused_volumes),
            *(_size(use.writable), _size(use.build_cache)),
        )
        for engine, use in sorted(found, key=lambda pair: str(pair[0]))
    ]
    shown = [at for at, _ in enumerate(COLUMNS) if any(row[at] for row in rows)]
    table = Table(columns=[COLUMNS[at] for at in shown], rows=[[row[at] for at in shown] for row in rows])
    blocks: list[Block] = [table, *filter(None, (_note(context, str(engine), use) for engine, use in found)), *notes]
    return Reply(blocks=blocks)


def _size(amount: int | None) -> str:
    return "" if amount is None else formatting.size(amount)


def _note(context: Context, engine: str, use: DiskUse) -> Text | None:
    age = context.now.timestamp() - use.read_at if use.read_at else 0.0
    told = [f"needed {formatting.span(use.took)}"] if use.took >= SLOW_SECONDS else []
    told += [f"measured {formatting.span(age)} ago"] if age >= OLD_SECONDS else []
    return Text(text=f"{engine}: {', '.join(told)}.") if told else None


command = Command(
    name="df",
    summary="show the disk usage of engines",
    examples=("df", "df docker", "df --host 'prod-*'"),
    plan=plan,
    render=render,
    verbs=(ReadDiskUse.verb,),
    args=(
        Arg(name="name", help="only engines with this name, kind or host (globs allowed); without NAME: all"),
        HOST,
        ENGINE,
    ),
)
