"""`image inspect`: shows images in detail: a summary, fields by `--format`, or JSON by `--raw`."""

from __future__ import annotations

from commands._shared import inspection
from commands.spec import Command
from core.model.images import InspectImage
from core.model.refs import Kind

TARGET = "repository:tag, start of a name or id, digest, or a glob like 'nginx*'"

command = Command(
    name="image inspect",
    summary="show images in detail",
    examples=("image inspect nginx:1.27", "image inspect busybox --raw", "image inspect nginx -f '{{.Config.Labels}}'"),
    plan=inspection.make_plan("image inspect", InspectImage, Kind.IMAGE),
    render=inspection.render,
    verbs=(InspectImage.verb,),
    args=inspection.make_inspect_arguments(TARGET, "{{.Architecture}}, {{.RepoTags.0}}, {{json .Config}}"),
)
