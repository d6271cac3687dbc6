"""`stack services`: lists the services of Swarm stacks, like `docker stack services`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from commands._shared import formatting, list_commands, tasks
from commands.spec import ENGINE_OF_KIND, Command, Context, query
from core.model.actions import Action, ListServices
from core.model.refs import Kind
from core.model.services import Service


async def plan(context: Context) -> Sequence[Action[Any]]:
    return [ListServices(engine=engine) for engine in context.find.engines(query(context))]


def service_cells(row: Service, _: datetime) -> Sequence[str]:
    """Returns the cells of one service in the table."""
    running = f"{row.running}/{row.desired}" if row.desired is not None else f"{row.running} here"
    return (
        row.ref.name,
        row.mode,
        running,
        formatting.image(row.image),
        formatting.ports(row.ports),
        row.health,
        row.ref.short_id,
    )


command = Command(
    name="stack services",
    summary="list the services of Swarm stacks",
    examples=("stack services shop", "stack services 'shop*'"),
    plan=plan,
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.SERVICE,
            columns=("SERVICE", "MODE", "RUNNING", "IMAGE", "PORTS", "HEALTH", "ID"),
            optional=("PORTS", "HEALTH"),
            priority=("SERVICE", "RUNNING", "HEALTH"),
            cells=service_cells,
            none="There are no services of stacks.",
            filter=lambda args, row: row.in_stack and tasks.is_named(row.project, args["target"]),
            names=lambda args: (),
        )
    ),
    verbs=(ListServices.verb,),
    args=list_commands.arguments("stack, or a glob like 'shop*'", engine=ENGINE_OF_KIND["swarm"]),
)
