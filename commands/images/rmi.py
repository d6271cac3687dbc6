"""`rmi`: removes one name of an image. With its last name, the image itself is removed. An image that is given by
its id loses all its names.
"""

from __future__ import annotations

from commands._shared import changes
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.images import RemoveImage
from core.model.refs import Kind

command = Command(
    name="rmi",
    summary="remove images",
    examples=("rmi nginx:1.27", "rmi 'registry.example/shop/*' --host prod-1", "rmi -f nginx:1.27"),
    plan=changes.make_plan(
        "rmi",
        lambda context, ref: RemoveImage(engine=ref.engine, target=ref, force=context.args["force"]),
        Kind.IMAGE,
    ),
    render=changes.make_render(changes.Wording(done="removed")),
    risk=Risk.DESTROY,
    doing="removing",
    verbs=(RemoveImage.verb,),
    aliases=("image rm",),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            many=True,
            required=True,
            help="repository:tag, start of a name or id, digest, or a glob like 'nginx*'",
        ),
        *SELECTION,
        Arg(name="--force", short="f", type=ArgType.FLAG, help="also remove images that stopped containers use"),
    ),
)
