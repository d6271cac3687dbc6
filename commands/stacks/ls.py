"""`stack ls`: lists the stacks of Swarms, with their services and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import list_commands
from commands.spec import Command
from core.model.refs import Kind
from core.model.swarm import ListStacks, Stack


def stack_cells(row: list_commands.NamedRow, _: datetime) -> Sequence[str | int]:
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
    plan=list_commands.make_plan(Kind.STACK),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.STACK,
            columns=("STACK", "SERVICES", "RUNNING", "NETWORKS", "SECRETS", "CONFIGS"),
            optional=("NETWORKS", "SECRETS", "CONFIGS"),
            cells=stack_cells,
            none="There are no stacks.",
        )
    ),
    verbs=(ListStacks.verb,),
    args=list_commands.arguments(
        "stack, start of its name, or a glob like 'shop*'", quiet=list_commands.QUIET_NAMES, labelled="a service"
    ),
)
