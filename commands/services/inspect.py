"""`service inspect`: shows Swarm services in detail: a summary, fields by `--format`, or JSON by `--raw`."""

from __future__ import annotations

from commands._shared import inspection
from commands.spec import Command
from core.model.refs import Kind
from core.model.swarm import InspectService

TARGET = "Swarm service (shop_web, web), or a glob like 'shop_*'"

command = Command(
    name="service inspect",
    summary="show Swarm services in detail",
    examples=("service inspect shop_front", "service inspect --pretty shop_front", "service inspect shop_front --raw"),
    plan=inspection.make_plan("service inspect", InspectService, Kind.SERVICE),
    render=inspection.render,
    verbs=(InspectService.verb,),
    args=(
        *inspection.make_inspect_arguments(TARGET, "{{.Spec.Mode.Replicated.Replicas}}, {{json .Spec.TaskTemplate}}"),
        inspection.PRETTY,
    ),
)
