"""`version`: shows the versions of Quarterdeck and of the engines, like `docker version` and `crictl version`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, targets
from commands.spec import ENGINE, HOST, Arg, Command, Context, Result
from core import version
from core.model.actions import Action, DescribeEngine
from core.model.engines import Engine
from core.model.replies import Block, Reply, Table, Text
from core.ports import Query


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    wanted = Query(engine=targets.engine_pattern(context), host=args["host"] or "", verb=DescribeEngine.verb)
    return [DescribeEngine(engine=engine) for engine in context.find.engines(wanted)]


def render(_: Context, results: Sequence[Result]) -> Reply:
    known = sorted(
        (result.value for result in results if isinstance(result.value, Engine)), key=lambda engine: str(engine.ref)
    )
    rows = [
        (str(one.ref), one.version or f"not known: {one.fault or one.not_permitted}", one.api, one.runtime, one.system)
        for one in known
    ]
    blocks: list[Block] = [Text(text=f"Quarterdeck {version.read_quarterdeck_version()}")]
    if rows:
        blocks.append(Table(columns=("ENGINE", "VERSION", "API", "RUNTIME", "SYSTEM"), rows=rows))
    return Reply(blocks=(*blocks, *formatting.engine_error_notes(results)))


command = Command(
    name="version",
    summary="show the versions of Quarterdeck and of the engines",
    examples=("version", "version docker", "version --host 'prod-*'"),
    plan=plan,
    render=render,
    verbs=(DescribeEngine.verb,),
    args=(
        Arg(name="name", help="only engines with this name, kind or host (globs allowed); without NAME: all"),
        HOST,
        ENGINE,
    ),
)
