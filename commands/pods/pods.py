"""`pods`: lists the pods of Podman and of Kubernetes, with the number of their running containers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import formatting, list_commands
from commands.spec import Command
from core.model.pods import ListPods, Pod
from core.model.refs import Kind
from core.model.replies import Tone


def pod_cells(row: Pod, now: datetime) -> Sequence[str]:
    """Returns the cells of one pod in the table."""
    age = formatting.ago(row.created_at, now)
    containers = f"{row.running}/{len(row.members)}"
    return (row.ref.name, row.namespace, row.state, containers, age, row.address, row.ref.short_id)


def _tone(row: Pod) -> Tone:
    return {"running": Tone.GOOD, "ready": Tone.GOOD, "degraded": Tone.BAD, "notready": Tone.WARN}.get(
        row.state, Tone.WARN if row.state == "paused" else Tone.PLAIN
    )


command = Command(
    name="pods",
    summary="list pods",
    examples=("pods", "pods shop", "pods 'shop-*' --engine podman"),
    plan=list_commands.make_plan(Kind.POD),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.POD,
            columns=("POD", "NAMESPACE", "STATUS", "CONTAINERS", "CREATED", "ADDRESS", "ID"),
            optional=("NAMESPACE", "ADDRESS"),
            priority=("POD", "STATUS", "NAMESPACE"),
            tone=_tone,
            toned="STATUS",
            cells=pod_cells,
            none="There are no pods.",
            order=lambda row: (row.namespace, row.ref.name),
        )
    ),
    verbs=(ListPods.verb,),
    aliases=("pod ls",),
    args=list_commands.arguments("pod (web, shop/web), start of its name or id, or a glob like 'shop-*'"),
)
