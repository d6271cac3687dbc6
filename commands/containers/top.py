"""`top`: lists the processes in containers, as their host shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, targets
from commands.spec import SELECTION, TARGETS, Command, Context, Result
from core.model.actions import Action
from core.model.container_reads import Processes, ReadProcesses
from core.model.replies import Block, Reply, Table, Text, Tone

MAX_TARGETS = 10


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select(context, "top", MAX_TARGETS)
    return [ReadProcesses(engine=ref.engine, target=ref) for ref in refs]


def render(_: Context, results: Sequence[Result]) -> Reply:
    labels = targets.display_names([targets.target_of(result) for result in results])
    blocks: list[Block] = []
    for label, result in zip(labels, results, strict=True):
        if result.error is not None:
            blocks.append(Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD))
            continue
        found: Processes = result.value
        title = label if len(results) > 1 else ""
        blocks.append(Table(title=title, columns=found.titles, rows=found.rows, empty="It has no processes."))
        if found.missing:
            blocks.append(Text(text=f"{found.missing:,} more processes are left out.", tone=Tone.WARN))
    failed = all(result.error is not None for result in results)
    return Reply(blocks=blocks, ending=formatting.failed_ending(results)) if failed else Reply(blocks=blocks)


command = Command(
    name="top",
    summary="list the processes in containers",
    examples=("top web", "top shop/front", "top web --engine docker"),
    plan=plan,
    render=render,
    verbs=(ReadProcesses.verb,),
    args=(TARGETS, *SELECTION),
)
