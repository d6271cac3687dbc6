"""`engines`: which engines there are, how they are reached and how they do; with a name, everything about one.

An engine that does not answer is a row with its reason. Those one may not list are not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from commands import _show
from commands.spec import SELECTION, Arg, Command, Context, Result
from core.model.actions import Action, DescribeEngine
from core.model.replies import Block, Ending, Fields, Reply, Table, Text, Tone
from core.model.things import Engine
from core.ports import Query

NOT_KNOWN = "-"


async def plan(context: Context) -> Sequence[Action[Engine]]:
    args = context.args
    wanted = Query(engine=args["name"] or "", host=args["host"] or "")
    return [DescribeEngine(engine=engine) for engine in context.find.engines(wanted)]


def render(context: Context, results: Sequence[Result]) -> Reply:
    known: list[Engine] = sorted(
        (result.value for result in results if isinstance(result.value, Engine)), key=lambda engine: str(engine.ref)
    )
    notes = _show.unanswered(results)
    if not known:
        blocks: list[Block] = [*notes] or [Text(text="There are no engines you may see.")]
        return Reply(blocks=blocks, ending=_show.failed_ending(results))
    if context.args["name"]:
        return Reply(blocks=[*(_all_of(engine, context.now) for engine in known), *notes])
    table = Table(
        columns=("ENGINE", "VERSION", "API", "SYSTEM", "STORAGE", "CGROUP", "CONTAINERS", "VERBS", "ADDRESS", "STATE"),
        rows=[_row(engine, context.now) for engine in known],
    )
    faults = [Text(text=f"{engine.ref}: {engine.fault}", tone=Tone.BAD) for engine in known if engine.fault]
    return Reply(blocks=(table, *faults, *notes), ending=Ending.OK)


def _row(engine: Engine, now: datetime) -> Sequence[str | int]:
    return [
        str(engine.ref),
        engine.version or NOT_KNOWN,
        engine.api or NOT_KNOWN,
        engine.system or NOT_KNOWN,
        engine.storage or NOT_KNOWN,
        engine.cgroup or NOT_KNOWN,
        NOT_KNOWN if engine.containers is None else engine.containers,
        len(engine.verbs),
        engine.address,
        _state(engine, now),
    ]


def _state(engine: Engine, now: datetime) -> str:
    """`up 3 min`, `down 40 s: <why>`; `answers` where nobody watches."""
    if engine.stream:
        went = f"{engine.stream} {_show.span(max(0.0, now.timestamp() - engine.stream_since))}"
        why = engine.fault or engine.stream_fault
        return went if engine.stream == "up" and not engine.fault else f"{went}: {why}" if why else went
    return f"down: {engine.fault}" if engine.fault else "answers"


def _all_of(engine: Engine, now: datetime) -> Fields:
    fields = {"Address": engine.address, "State": _state(engine, now)}
    if engine.stream:
        since = datetime.fromtimestamp(engine.stream_since, UTC)
        fields["Event stream"] = f"{engine.stream} since {_show.clock(since, now)} UTC"
    fields |= {
        name: value
        for name, value in (
            ("Version", engine.version),
            ("API", engine.api),
            ("System", engine.system),
            ("Storage driver", engine.storage),
            ("Cgroup version", engine.cgroup),
        )
        if value
    }
    if engine.containers is not None:
        fields["Containers"] = f"{engine.containers} ({engine.running or 0} running)"
    fields["Verbs"] = ", ".join(engine.verbs)
    return Fields(title=str(engine.ref), fields=fields)


command = Command(
    name="engines",
    summary="list the engines and how they do",
    examples=("engines", "engines docker", "engines --host 'prod-*'"),
    plan=plan,
    render=render,
    verbs=("engine.list",),
    args=(
        Arg(name="name", help="everything about the engines of this name, kind or host (globs allowed)"),
        *(arg for arg in SELECTION if arg.name == "--host"),
    ),
)
