"""`pod rm`: removes pods with all their containers."""

from __future__ import annotations

from commands._shared import changes
from commands.pods.inspect import TARGET
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.pods import RemovePod
from core.model.refs import Kind

command = Command(
    name="pod rm",
    summary="remove pods with all their containers",
    examples=("pod rm -f shop", "pod rm -f 'shop-*'"),
    plan=changes.make_plan(
        "pod rm", lambda context, ref: RemovePod(engine=ref.engine, target=ref, force=context.args["force"]), Kind.POD
    ),
    render=changes.make_render(changes.Wording(done="removed", advice=(("running", "Stop it first, or use -f."),))),
    risk=Risk.DESTROY,
    doing="removing",
    verbs=(RemovePod.verb,),
    aliases=("pod remove",),
    args=(
        Arg(name="target", type=ArgType.TARGET, many=True, required=True, help=TARGET),
        *SELECTION,
        Arg(name="--force", short="f", type=ArgType.FLAG, help="remove the pods even if their containers are running"),
    ),
)
