"""Plans and renders the commands that show one resource in detail: a summary, fields by `--format`, or with `--raw` the
engine's own JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from commands._shared import format_option, formatting, next_steps, targets
from commands.spec import SELECTION, Arg, ArgType, Context, Plan, Result
from core.model.actions import Action, TargetAction
from core.model.refs import Kind, Ref
from core.model.replies import Block, Fields, Lines, Reply, Text, Tone
from core.model.results import Document

MAX_TARGETS = 20
RAW = Arg(name="--raw", type=ArgType.FLAG, help="show everything that the engine reports, as JSON")
CONTAINER_FIELDS = '{{.State.Status}}, {{.Mounts.0.Source}}, {{json .State}}, {{index .Config.Labels "a.b"}}'
# Accepted for the sake of `docker service inspect --pretty`: the summary is what is shown anyway.
PRETTY = Arg(name="--pretty", type=ArgType.FLAG, help="show the summary (the default)")


def make_inspect_arguments(target_help: str, fields: str) -> Sequence[Arg]:
    """Returns the arguments of a command that inspects resources. `target_help`: the help of its names; `fields`:
    examples for `--format`."""
    which = Arg(name="target", type=ArgType.TARGET, many=True, required=True, help=target_help)
    return (which, format_argument(fields), RAW, *SELECTION)


def format_argument(fields: str) -> Arg:
    return Arg(name="--format", short="f", help=f"show this text with fields of the engine's JSON, such as {fields}")


def make_plan(command: str, action: type[TargetAction[Document]], kind: Kind) -> Plan:
    """Returns a plan that inspects each selected resource with `action`. Raises BadUsage for an invalid format."""

    async def plan(context: Context) -> Sequence[Action[Any]]:
        check_format(context)
        refs = await find(context, command, kind)
        return [action(engine=ref.engine, target=ref) for ref in refs]

    return plan


async def find(context: Context, command: str, kind: Kind) -> Sequence[Ref]:
    """Finds the resources to inspect. The same image or network is usually on several engines, and all are shown."""
    return await targets.select_targets(context, command, MAX_TARGETS, kind, every_match=kind is not Kind.CONTAINER)


def check_format(context: Context) -> None:
    """Raises BadUsage for an invalid format, before any engine is asked."""
    if context.args["format"]:
        format_option.parse_format(context.args["format"])


def render(context: Context, results: Sequence[Result]) -> Reply:
    """Renders the documents that engines answered, and an error for each other target."""
    labels = targets.display_names([targets.target_of_result(result) for result in results])
    notes = [
        Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD)
        for label, result in zip(labels, results, strict=True)
        if result.error is not None
    ]
    answered = [
        (label, result.value)
        for label, result in zip(labels, results, strict=True)
        if isinstance(result.value, Document)
    ]
    documents = [document for _, document in answered]
    if not documents:
        return Reply(blocks=notes, ending=formatting.failed_ending(results))
    if context.args["format"]:
        return format_option.formatted_reply(context.args["format"], documents, notes)
    if context.args["raw"] or not all(document.summary for document in documents):
        # A program at the other end of a pipe expects one document alone, and several as a list.
        shown: Any = documents[0].data if len(results) == 1 else [document.data for document in documents]
        text = json.dumps(shown, indent=2, ensure_ascii=False, default=str)
        return Reply(blocks=(Lines(lines=text.split("\n")), *notes))
    blocks: list[Block] = []
    for label, document in answered:
        single = {name: text for name, text in document.summary.items() if "\n" not in text}
        blocks.append(Fields(title=f"{label} ({document.ref.engine})", fields=single))
        blocks += [Lines(title=name, lines=text.split("\n")) for name, text in document.summary.items() if "\n" in text]
    return Reply(
        blocks=(*blocks, *notes), buttons=next_steps.offer_next_steps(context, [each.ref for each in documents])
    )
