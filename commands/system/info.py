"""`info`: shows what engines report about themselves, like `docker info` and `podman info`: a summary, or the whole
answer with `--raw`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from commands._shared import engine_details, format_option, formatting, targets
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context, Result
from core.model.actions import Action, DescribeEngine, ShowInfo
from core.model.engines import Engine
from core.model.replies import Block, Fields, Lines, Reply, Text
from core.model.results import Document
from core.ports import Query


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    if args["format"]:
        format_option.parse_format(args["format"])
    engines = context.find.engines(Query(engine=targets.engine_pattern(context), host=args["host"] or ""))
    if _raw(context):
        return [ShowInfo(engine=engine) for engine in engines]
    return [DescribeEngine(engine=engine) for engine in engines]


def render(context: Context, results: Sequence[Result]) -> Reply:
    return _render_raw(context, results) if _raw(context) else _render_summary(context, results)


def _raw(context: Context) -> bool:
    return bool(context.args["raw"] or context.args["format"])


def _render_summary(context: Context, results: Sequence[Result]) -> Reply:
    known = sorted(
        (result.value for result in results if isinstance(result.value, Engine)), key=lambda one: str(one.ref)
    )
    blocks: list[Block] = [
        Fields(title=str(engine.ref), fields=engine_details.detail_texts(engine, context.now)) for engine in known
    ]
    notes = formatting.engine_error_notes(results)
    if not known:
        return Reply(
            blocks=[*notes] or [Text(text="There are no engines that you may list.")],
            ending=formatting.failed_ending(results),
        )
    return Reply(blocks=(*blocks, *notes))


def _render_raw(context: Context, results: Sequence[Result]) -> Reply:
    documents = [result.value for result in results if isinstance(result.value, Document)]
    notes = formatting.engine_error_notes(results)
    if not documents:
        return Reply(blocks=notes, ending=formatting.failed_ending(results))
    if not context.args["format"]:
        # Several documents are shown by engine, since a document does not name its engine.
        by_engine = {str(result.action.engine): result.value.data for result in results if result.error is None}
        shown: Any = documents[0].data if len(results) == 1 else by_engine
        text = json.dumps(shown, indent=2, ensure_ascii=False, default=str)
        return Reply(blocks=(Lines(lines=text.split("\n")), *notes))
    return format_option.formatted_reply(context.args["format"], documents, notes)


command = Command(
    name="info",
    summary="show what engines report about themselves",
    examples=("info", "info docker/prod-1", "info docker/prod-1 --raw", "info --host prod-1 -f '{{.Driver}}'"),
    plan=plan,
    render=render,
    verbs=(DescribeEngine.verb, ShowInfo.verb),
    verb_conditions=(("with --raw or --format", ShowInfo.verb),),
    args=(
        Arg(name="name", help="only engines with this name, kind or host (globs allowed); without NAME: all"),
        Arg(name="--raw", type=ArgType.FLAG, help="show the engine's whole answer as JSON"),
        Arg(
            name="--format",
            short="f",
            help="show this text with fields of the engine's answer, such as {{.Driver}}, {{json .Plugins}}",
        ),
        HOST,
        ENGINE,
    ),
)
