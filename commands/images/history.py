"""`history`: shows the steps by which an image was built, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from commands._shared import formatting, targets
from commands._shared.target_blocks import reply_by_target
from commands.spec import SELECTION, Arg, ArgType, Command, Context, Result
from core.model.actions import Action
from core.model.images import ImageHistory, ReadHistory
from core.model.refs import Kind
from core.model.replies import Block, Reply, Table

MAX_TARGETS = 5


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select_targets(context, "history", MAX_TARGETS, Kind.IMAGE)
    return [ReadHistory(engine=ref.engine, target=ref) for ref in refs]


def render(context: Context, results: Sequence[Result]) -> Reply:
    def blocks(label: str, found: ImageHistory) -> Iterator[Block]:
        rows = [
            (
                formatting.moment(step.created_at) if step.created_at else "",
                formatting.size(step.size) if step.size else "",
                step.command or step.comment,
            )
            for step in found.rows
        ]
        title = label if len(results) > 1 else ""
        yield Table(title=title, columns=("CREATED", "SIZE", "STEP"), rows=rows, wrap=True, empty="It has no steps.")

    return reply_by_target(results, blocks)


command = Command(
    name="history",
    summary="show the build steps of images",
    examples=("history nginx:1.27", "history nginx:1.27 --host prod-1"),
    plan=plan,
    render=render,
    verbs=(ReadHistory.verb,),
    aliases=("image history",),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            many=True,
            required=True,
            help="repository:tag, start of a name or id, digest, or a glob like 'nginx*'",
        ),
        *SELECTION,
    ),
)
