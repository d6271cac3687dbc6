"""`quadlet ls`: lists the systemd units that Podman's generator makes from Quadlet files."""

from __future__ import annotations

from commands._shared import list_commands
from commands.spec import Command
from commands.units import units
from core.model.refs import Kind
from core.model.units import ListUnits

SUFFIXES = (".container", ".pod", ".kube")

command = Command(
    name="quadlet ls",
    summary="list systemd units that are generated from Quadlet files",
    examples=("quadlet ls", "quadlet ls 'pod-*' --engine podman"),
    plan=list_commands.make_plan(Kind.UNIT),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.UNIT,
            columns=units.LIST.columns,
            optional=units.LIST.optional,
            cells=units.LIST.cells,
            none="There are no units from Quadlet files.",
            filter=lambda args, row: row.file.endswith(SUFFIXES),
        )
    ),
    verbs=(ListUnits.verb,),
    aliases=("quadlet list",),
    args=list_commands.arguments(
        "unit (web.service, web), start of its name, or a glob like 'shop-*'",
        quiet=list_commands.QUIET_NAMES,
        labelled="a container",
    ),
)
