"""`diff`: lists the files that a container added, changed or deleted since it was created."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, targets
from commands.spec import SELECTION, TARGETS, Command, Context, Result
from core.model.actions import Action
from core.model.container_reads import FileChanges, ReadFileChanges
from core.model.replies import Block, Lines, Reply, Text, Tone

MAX_TARGETS = 5
LETTERS = {"added": "A", "changed": "C", "deleted": "D"}


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select(context, "diff", MAX_TARGETS)
    return [ReadFileChanges(engine=ref.engine, target=ref) for ref in refs]


def render(_: Context, results: Sequence[Result]) -> Reply:
    """Shows a line such as `A /data/file` for each change: A for added, C for changed, D for deleted."""
    labels = targets.display_names([targets.target_of(result) for result in results])
    blocks: list[Block] = []
    for label, result in zip(labels, results, strict=True):
        if result.error is not None:
            blocks.append(Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD))
            continue
        found: FileChanges = result.value
        if not found.changes:
            blocks.append(Text(text=f"{label} changed no files."))
            continue
        counts = Counter(change.kind for change in found.changes)
        told = ", ".join(f"{counts[kind]:,} {kind}" for kind in LETTERS if counts[kind])
        more = f"; {found.missing:,} more are left out" if found.missing else ""
        blocks.append(Text(text=f"{label}: {told}{more}."))
        blocks.append(Lines(lines=[f"{LETTERS[change.kind]} {change.path}" for change in found.changes]))
    failed = all(result.error is not None for result in results)
    return Reply(blocks=blocks, ending=formatting.failed_ending(results)) if failed else Reply(blocks=blocks)


command = Command(
    name="diff",
    summary="list the files that containers changed",
    examples=("diff web", "diff shop/front"),
    plan=plan,
    render=render,
    verbs=(ReadFileChanges.verb,),
    args=(TARGETS, *SELECTION),
)
