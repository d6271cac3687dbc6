"""`stack ls`: lists the stacks of Swarms, with their services and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import lists
from commands.spec import Command
from core.model.refs import Kind
from core.model.swarm import ListStacks, Stack


def stack_cells(row: lists.NamedRow, _: datetime) -> Sequence[str | int]:
    """Returns the cells of one stack in the table."""
    stack: Stack = row.row
    return (
        *(stack.name, len(stack.services), f"{stack.running}/{stack.desired}"),
        *(", ".join(names) for names in (stack.networks, stack.secrets, stack.configs)),
    )


command = Command(
    name="stack ls",
    summary="list Swarm stacks",
    examples=("stack ls", "stack ls shop", "stack ls 'shop*'"),
    plan=lists.make_plan(Kind.STACK),
    render=lists.make_render(
        lists.ListCommand(
            kind=Kind.STACK,
            columns=("STACK", "SERVICES", "RUNNING", "NETWORKS", "SECRETS", "CONFIGS"),
            optional=("NETWORKS", "SECRETS", "CONFIGS"),
            cells=stack_cells,
            none="There are no stacks.",
        )
    ),
    verbs=(ListStacks.verb,),
    args=lists.arguments("stack, start of its name, or a glob like 'shop*'"),
)
