"""`namespaces`: lists the namespaces of containerd, with the number of their containers and images, and the engine that
uses each of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import list_commands
from commands.spec import Command
from core.model.networks_and_volumes import ListNamespaces
from core.model.refs import Kind


def namespace_cells(row: list_commands.NamedRow, _: datetime) -> Sequence[str | int]:
    """Returns the cells of one namespace in the table."""
    return (row.ref.name, row.row.containers, row.row.images, row.row.owner)


command = Command(
    name="namespaces",
    summary="list containerd namespaces",
    examples=("namespaces", "namespaces k8s.io", "namespaces --host prod-1"),
    plan=list_commands.make_plan(Kind.NAMESPACE),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.NAMESPACE,
            columns=("NAMESPACE", "CONTAINERS", "IMAGES", "USED BY"),
            optional=("USED BY",),
            cells=namespace_cells,
            none="There are no namespaces.",
        )
    ),
    verbs=(ListNamespaces.verb,),
    aliases=("namespace ls",),
    args=list_commands.arguments(
        "namespace, start of its name, or a glob like 'k8s*'", quiet=list_commands.QUIET_NAMES
    ),
)
