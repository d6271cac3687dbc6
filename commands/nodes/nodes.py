"""`nodes`: lists the nodes of Swarms, with their status, availability and number of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import list_commands
from commands.spec import Command
from core.model.refs import Kind
from core.model.replies import Tone
from core.model.swarm import ListNodes, Node


def node_cells(row: Node, _: datetime) -> Sequence[str | int]:
    """Returns the cells of one node in the table."""
    status = f"{row.state}: {row.message}" if row.message else row.state
    role = f"{row.role} (leader)" if row.leader else row.role
    tasks = "-" if row.tasks is None else row.tasks
    return (row.ref.name, status, row.availability, role, row.address, tasks, row.version)


def _tone(row: Node) -> Tone:
    if row.state != "ready":
        return Tone.BAD
    return Tone.GOOD if row.availability == "active" else Tone.WARN


command = Command(
    name="nodes",
    summary="list Swarm nodes",
    examples=("nodes", "nodes worker-1", "nodes 'worker-*' --label zone=a"),
    plan=list_commands.make_plan(Kind.NODE),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.NODE,
            columns=("NODE", "STATUS", "AVAILABILITY", "ROLE", "ADDRESS", "TASKS", "VERSION"),
            optional=("VERSION",),
            tone=_tone,
            toned="STATUS",
            fields={"Hostname": "NODE"},
            cells=node_cells,
            none="There are no nodes: none of the watched engines manages a Swarm.",
            order=lambda row: (row.role != "manager", row.ref.name),
        )
    ),
    verbs=(ListNodes.verb,),
    aliases=("node ls",),
    args=list_commands.arguments("node, start of its name or id, or a glob like 'worker-*'"),
)
