"""`info`: what an engine tells about itself, as `docker info` or `podman info` does: in short, or with `--raw` all of
it in the engine's own words. Which engines there are and what they can do is `engines`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from commands._shared import engine as _shared_engine
from commands._shared import format, show
from commands.spec import SELECTION, Arg, Command, Context, Result, Take
from core import errors
from core.model.actions import Action, DescribeEngine, ShowInfo
from core.model.engines import Engine
from core.model.replies import Block, Ending, Fields, Lines, Reply, Text, Tone
from core.model.results import Document
from core.ports import Query


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    if args["format"]:
        format.parse(args["format"])
    engines = context.find.engines(Query(engine=args["name"] or "", host=args["host"] or ""))
    if _raw(context):
        return [ShowInfo(engine=engine) for engine in engines]
    return [DescribeEngine(engine=engine) for engine in engines]


def render(context: Context, results: Sequence[Result]) -> Reply:
    return _in_full(context, results) if _raw(context) else _in_short(context, results)


def _raw(context: Context) -> bool:
    return bool(context.args["raw"] or context.args["format"])


def _in_short(context: Context, results: Sequence[Result]) -> Reply:
    known = sorted(
        (result.value for result in results if isinstance(result.value, Engine)), key=lambda one: str(one.ref)
    )
    blocks: list[Block] = [
        Fields(title=str(engine.ref), fields=_shared_engine.facts(engine, context.now)) for engine in known
    ]
    notes = show.unanswered(results)
    if not known:
        return Reply(
            blocks=[*notes] or [Text(text="There are no engines you may see.")], ending=show.failed_ending(results)
        )
    return Reply(blocks=(*blocks, *notes))


def _in_full(context: Context, results: Sequence[Result]) -> Reply:
    told = [result.value for result in results if isinstance(result.value, Document)]
    notes = show.unanswered(results)
    if not told:
        return Reply(blocks=notes, ending=show.failed_ending(results))
    if not context.args["format"]:
        # One document alone, several by engine: nothing in them says whose they are.
        several = {str(result.action.engine): result.value.data for result in results if result.error is None}
        shown: Any = told[0].data if len(results) == 1 else several
        text = json.dumps(shown, indent=2, ensure_ascii=False, default=str)
        return Reply(blocks=(Lines(lines=text.split("\n")), *notes))
    template = format.parse(context.args["format"])
    lines: list[str] = []
    for document in told:
        try:
            lines += format.fill(template, document.data).split("\n")
        except errors.BadUsage as error:
            return Reply(blocks=(Text(text=error.full_message(), tone=Tone.WARN),), ending=Ending.USAGE)
    return Reply(blocks=(Lines(lines=lines), *notes))


command = Command(
    name="info",
    summary="show what engines tell about themselves",
    examples=("info", "info docker/prod-1", "info docker/prod-1 --raw", "info --host prod-1 -f '{{.Driver}}'"),
    plan=plan,
    render=render,
    verbs=(DescribeEngine.verb, ShowInfo.verb),
    args=(
        Arg(name="name", help="only engines of this name, kind or host (globs allowed)"),
        Arg(name="--raw", take=Take.FLAG, help="everything, in the engine's own words"),
        Arg(name="--format", short="f", help="of that, text with fields: {{.Driver}}, {{json .Plugins}}"),
        *(arg for arg in SELECTION if arg.name == "--host"),
    ),
)
