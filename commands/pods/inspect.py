"""`pod inspect`: shows pods in detail: a summary, fields by `--format`, or JSON by `--raw`."""

from __future__ import annotations

from commands._shared import inspection
from commands.spec import Command
from core.model.pods import InspectPod
from core.model.refs import Kind

TARGET = "pod (web, shop/web), start of its name or id, or a glob like 'shop-*'"

command = Command(
    name="pod inspect",
    summary="show pods in detail",
    examples=("pod inspect shop", "pod inspect shop --raw"),
    plan=inspection.make_plan("pod inspect", InspectPod, Kind.POD),
    render=inspection.render,
    verbs=(InspectPod.verb,),
    args=inspection.make_inspect_arguments(TARGET, "{{.State}}, {{json .Containers}}"),
)
