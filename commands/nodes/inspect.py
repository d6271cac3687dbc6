"""`node inspect`: shows Swarm nodes in detail: a summary, fields by `--format`, or JSON by `--raw`."""

from __future__ import annotations

from commands._shared import inspection
from commands.spec import Command
from core.model.refs import Kind
from core.model.swarm import InspectNode

TARGET = "node, start of its name or id, or a glob like 'worker-*'"

command = Command(
    name="node inspect",
    summary="show Swarm nodes in detail",
    examples=("node inspect worker-1", "node inspect worker-1 -f '{{.Spec.Availability}}'"),
    plan=inspection.make_plan("node inspect", InspectNode, Kind.NODE),
    render=inspection.render,
    verbs=(InspectNode.verb,),
    args=(
        *inspection.make_inspect_arguments(TARGET, "{{.Spec.Availability}}, {{.Status.Addr}}, {{json .Description}}"),
        inspection.PRETTY,
    ),
)
