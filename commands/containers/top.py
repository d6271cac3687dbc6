"""`top`: lists the processes in containers, as their host shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from commands._shared import targets
from commands._shared.target_blocks import reply_by_target
from commands.spec import SELECTION, TARGETS, Command, Context, Result
from core.model.actions import Action
from core.model.container_reads import Processes, ReadProcesses
from core.model.replies import Block, Reply, Table, Text, Tone

MAX_TARGETS = 10


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select_targets(context, "top", MAX_TARGETS)
    return [ReadProcesses(engine=ref.engine, target=ref) for ref in refs]


def render(_: Context, results: Sequence[Result]) -> Reply:
    def blocks(label: str, found: Processes) -> Iterator[Block]:
        title = label if len(results) > 1 else ""
        yield Table(title=title, columns=found.titles, rows=found.rows, wrap=True, empty="It has no processes.")
        if found.missing:
            yield Text(text=f"{found.missing:,} more processes are left out.", tone=Tone.WARN)

    return reply_by_target(results, blocks)


command = Command(
    name="top",
    summary="list the processes in containers",
    examples=("top web", "top shop/front", "top web --engine docker"),
    plan=plan,
    render=render,
    verbs=(ReadProcesses.verb,),
    args=(TARGETS, *SELECTION),
)
