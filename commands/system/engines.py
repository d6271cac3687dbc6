"""`engines`: lists the engines with their state and their containers. With a name, shows all details of an engine.

The table is narrow enough for a terminal of 80 columns. An engine that does not answer has a row, and a sentence with
the reason. An engine that was found, but whose socket Quarterdeck's
system user may not open, also has such a row. Engines that the requester may not list are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import engine_details, formatting
from commands.spec import HOST, Arg, Command, Context, Result
from core.model.actions import Action, DescribeEngine
from core.model.engines import Engine
from core.model.replies import Block, Ending, Fields, Reply, Table, Text, Tone
from core.ports import Query

NOT_KNOWN = "-"
COLUMNS = ("ENGINE", "STATE", "CONTAINERS", "RUNNING", "VERSION")


async def plan(context: Context) -> Sequence[Action[Engine]]:
    args = context.args
    wanted = Query(engine=args["name"] or "", host=args["host"] or "", verb=DescribeEngine.verb)
    return [DescribeEngine(engine=engine) for engine in context.find.engines(wanted)]


def render(context: Context, results: Sequence[Result]) -> Reply:
    known: list[Engine] = sorted(
        (result.value for result in results if isinstance(result.value, Engine)), key=lambda engine: str(engine.ref)
    )
    notes = formatting.engine_error_notes(results)
    if not known:
        blocks: list[Block] = [*notes] or [Text(text="There are no engines that you may list.")]
        return Reply(blocks=blocks, ending=formatting.failed_ending(results))
    if context.args["name"]:
        return Reply(blocks=[*(_details(engine, context.now) for engine in known), *notes])
    table = Table(columns=COLUMNS, rows=[_row(engine, context.now) for engine in known], wrapped=("STATE",))
    faults = [
        Text(text=f"{engine.ref}: {reason}", tone=Tone.BAD)
        for engine in known
        if (reason := engine_details.fault(engine))
    ]
    return Reply(blocks=(table, *faults, *notes), ending=Ending.OK)


def _row(engine: Engine, now: datetime) -> Sequence[str | int]:
    return [
        str(engine.ref),
        engine_details.format_engine_state(engine, now),
        NOT_KNOWN if engine.containers is None else engine.containers,
        NOT_KNOWN if engine.running is None else engine.running,
        engine.version or NOT_KNOWN,
    ]


def _details(engine: Engine, now: datetime) -> Fields:
    return Fields(
        title=str(engine.ref), fields={**engine_details.detail_texts(engine, now), "Verbs": ", ".join(engine.verbs)}
    )


command = Command(
    name="engines",
    summary="list the engines and their health",
    examples=("engines", "engines docker", "engines --host 'prod-*'"),
    plan=plan,
    render=render,
    verbs=("engine.list",),
    args=(
        Arg(
            name="name",
            help="show the engines with this name, kind or host in detail (globs allowed); without NAME: list all",
        ),
        HOST,
    ),
)
