"""`wait`: waits until containers have ended, and shows how each of them ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, targets
from commands.spec import SELECTION, TARGETS, Command, Context, Result, timeout_option
from core.model.actions import Action
from core.model.background_jobs import FollowResult
from core.model.container_reads import MAX_WAIT_SECONDS, WaitForEnd
from core.model.replies import Ending, Reply, Text, Tone

MAX_TARGETS = 5
DEFAULT_SECONDS = 300


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select_targets(context, "wait", MAX_TARGETS)
    return [WaitForEnd(engine=ref.engine, target=ref, timeout=context.args["timeout"]) for ref in refs]


def render(_: Context, results: Sequence[Result]) -> Reply:
    labels = targets.display_names([targets.target_of_result(result) for result in results])
    blocks, ended = [], []
    for label, result in zip(labels, results, strict=True):
        if isinstance(result.value, FollowResult):
            ended.append(result.value)
            text = f"{label} {result.value.why.removesuffix('.')} ({formatting.span(result.value.seconds)})."
            blocks.append(Text(text=text, tone=Tone.BAD if result.value.failed else Tone.PLAIN))
        elif result.error is not None:
            blocks.append(Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD))
    if not ended:
        return Reply(blocks=blocks, ending=formatting.failed_ending(results))
    return Reply(blocks=blocks, ending=Ending.FAILED if all(end.failed for end in ended) else Ending.OK)


command = Command(
    name="wait",
    summary="wait until containers have ended",
    examples=("wait old-web", "wait old-web --timeout 60"),
    plan=plan,
    render=render,
    verbs=(WaitForEnd.verb,),
    shows=(FollowResult,),
    args=(
        TARGETS,
        timeout_option(DEFAULT_SECONDS, MAX_WAIT_SECONDS, "longest time to wait", short="t"),
        *SELECTION,
    ),
)
