"""`network ls`: lists the networks of Docker and Podman."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import list_commands
from commands.spec import Arg, Command
from core.model.networks_and_volumes import ListNetworks, Network
from core.model.refs import Kind

SCOPES = ("local", "global", "swarm")


def network_cells(row: Network, _: datetime) -> Sequence[str]:
    """Returns the cells of one network in the table."""
    internal = "yes" if row.internal else ""
    return (row.ref.name, row.driver, row.scope, ", ".join(row.subnets), internal, row.ref.short_id)


command = Command(
    name="network ls",
    summary="list networks",
    examples=(
        "network ls",
        "network ls 'shop*'",
        "network ls --scope local --driver bridge",
        "network ls --host prod-1 -q",
    ),
    plan=list_commands.make_plan(Kind.NETWORK),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.NETWORK,
            columns=("NETWORK", "DRIVER", "SCOPE", "SUBNETS", "INTERNAL", "ID"),
            priority=("NETWORK", "DRIVER", "SUBNETS"),
            optional=("SUBNETS", "INTERNAL"),
            cells=network_cells,
            none="There are no networks.",
            filter=lambda args, row: args["driver"] in (None, row.driver) and args["scope"] in (None, row.scope),
        )
    ),
    verbs=(ListNetworks.verb,),
    args=(
        *list_commands.arguments("network, start of its name or id, or a glob like 'shop*'"),
        Arg(name="--driver", help="only networks of this driver, such as bridge, host, overlay or macvlan"),
        Arg(name="--scope", choices=SCOPES, help="only networks of this scope"),
    ),
)
