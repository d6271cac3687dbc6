"""`diff`: lists the files that a container added, changed or deleted since it was created."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from commands._shared import targets
from commands._shared.target_blocks import reply_by_target
from commands.spec import SELECTION, TARGETS, Command, Context, Result
from core.model.actions import Action
from core.model.container_reads import FileChanges, ReadFileChanges
from core.model.replies import Block, Lines, Reply, Text

MAX_TARGETS = 5
LETTERS = {"added": "A", "changed": "C", "deleted": "D"}


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select_targets(context, "diff", MAX_TARGETS)
    return [ReadFileChanges(engine=ref.engine, target=ref) for ref in refs]


def render(_: Context, results: Sequence[Result]) -> Reply:
    return reply_by_target(results, _blocks)


def _blocks(label: str, found: FileChanges) -> Iterator[Block]:
    """Shows a line such as `A /data/file` for each change: A for added, C for changed, D for deleted."""
    if not found.changes:
        yield Text(text=f"{label} changed no files.")
        return
    counts = Counter(change.kind for change in found.changes)
    told = ", ".join(f"{counts[kind]:,} {kind}" for kind in LETTERS if counts[kind])
    more = f"; {found.missing:,} more are left out" if found.missing else ""
    yield Text(text=f"{label}: {told}{more}.")
    yield Lines(lines=[f"{LETTERS[change.kind]} {change.path}" for change in found.changes])


command = Command(
    name="diff",
    summary="list the files that containers changed",
    examples=("diff web", "diff shop/front"),
    plan=plan,
    render=render,
    verbs=(ReadFileChanges.verb,),
    args=(TARGETS, *SELECTION),
)
