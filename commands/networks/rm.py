"""`network rm`: removes networks."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.networks_and_volumes import RemoveNetwork
from core.model.refs import Kind

command = Command(
    name="network rm",
    summary="remove networks",
    examples=("network rm shop_default", "network rm 'shop_*' --host prod-1"),
    plan=changes.make_plan(
        "network rm", lambda context, ref: RemoveNetwork(engine=ref.engine, target=ref), Kind.NETWORK
    ),
    render=changes.make_render(changes.Wording(done="removed")),
    risk=Risk.DESTROY,
    doing="removing",
    verbs=(RemoveNetwork.verb,),
    aliases=("network remove",),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            many=True,
            required=True,
            help="network, start of its name or id, or a glob like 'old-*'",
        ),
        *SELECTION,
    ),
)
