"""`volume inspect`: shows volumes in detail: a summary, fields by `--format`, or JSON by `--raw`."""

from __future__ import annotations

from commands._shared import inspection
from commands.spec import Command
from core.model.networks_and_volumes import InspectVolume
from core.model.refs import Kind

TARGET = "volume, start of its name, or a glob like 'shop*'"

command = Command(
    name="volume inspect",
    summary="show volumes in detail",
    examples=("volume inspect shop_data", "volume inspect shop_data -f '{{.Mountpoint}}'"),
    plan=inspection.make_plan("volume inspect", InspectVolume, Kind.VOLUME),
    render=inspection.render,
    verbs=(InspectVolume.verb,),
    args=inspection.make_inspect_arguments(TARGET, "{{.Mountpoint}}, {{json .Options}}"),
)
