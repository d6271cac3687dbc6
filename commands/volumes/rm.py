"""`volume rm`: removes volumes."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.networks_and_volumes import RemoveVolume
from core.model.refs import Kind

command = Command(
    name="volume rm",
    summary="remove volumes",
    examples=("volume rm shop_data", "volume rm 'shop_*' --host prod-1"),
    plan=changes.make_plan("volume rm", lambda context, ref: RemoveVolume(engine=ref.engine, target=ref), Kind.VOLUME),
    render=changes.make_render(changes.Wording(done="removed")),
    risk=Risk.DESTROY,
    doing="removing",
    verbs=(RemoveVolume.verb,),
    aliases=("volume remove",),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            many=True,
            required=True,
            help="volume, start of its name, or a glob like 'old-*'",
        ),
        *SELECTION,
    ),
)
