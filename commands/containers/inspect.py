"""`inspect`: shows all that engines report about containers, as JSON or as text with the fields of `--format`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from commands._shared import format_option, formatting, targets
from commands.spec import SELECTION, TARGETS, Arg, Command, Context, Result
from core import errors
from core.model.actions import Action, InspectContainer
from core.model.replies import Ending, Lines, Reply, Text, Tone
from core.model.results import Document

MAX_TARGETS = 20


async def plan(context: Context) -> Sequence[Action[Any]]:
    if context.args["format"]:
        format_option.parse_format(context.args["format"])
    refs = await targets.select(context, "inspect", MAX_TARGETS)
    return [InspectContainer(engine=ref.engine, target=ref) for ref in refs]


def render(context: Context, results: Sequence[Result]) -> Reply:
    documents = [result.value for result in results if isinstance(result.value, Document)]
    labels = targets.display_names([targets.target_of(result) for result in results])
    notes = [
        Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD)
        for label, result in zip(labels, results, strict=True)
        if result.error is not None
    ]
    if not documents:
        return Reply(blocks=notes, ending=formatting.failed_ending(results))
    if not context.args["format"]:
        # A program at the other end of a pipe expects one document alone, and several as a list.
        shown: Any = documents[0].data if len(results) == 1 else [document.data for document in documents]
        text = json.dumps(shown, indent=2, ensure_ascii=False, default=str)
        return Reply(blocks=(Lines(lines=text.split("\n")), *notes))
    template = format_option.parse_format(context.args["format"])
    lines: list[str] = []
    for document in documents:
        try:
            lines += format_option.fill_format(template, document.data).split("\n")
        except errors.BadUsage as error:
            return Reply(blocks=(Text(text=error.full_message(), tone=Tone.WARN),), ending=Ending.USAGE)
    return Reply(blocks=(Lines(lines=lines), *notes))


command = Command(
    name="inspect",
    summary="show all details of containers",
    examples=(
        "inspect web",
        "inspect web --format '{{.State.Status}} since {{.State.StartedAt}}'",
        "inspect web -f '{{json .Mounts}}'",
        "inspect web -f '{{index .Config.Labels \"com.docker.compose.project\"}}'",
    ),
    plan=plan,
    render=render,
    verbs=("container.inspect",),
    args=(
        TARGETS,
        Arg(
            name="--format",
            short="f",
            help='text with fields: {{.State.Status}}, {{.Mounts.0.Source}}, {{json .State}}, {{index .A "b.c"}}',
        ),
        *SELECTION,
    ),
)
