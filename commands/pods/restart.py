"""`pod restart`: restarts all containers of pods."""

from __future__ import annotations

from commands._shared import changes
from commands.pods.inspect import TARGET
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.pods import RestartPod
from core.model.refs import Kind

command = Command(
    name="pod restart",
    summary="restart all containers of pods",
    examples=("pod restart shop", "pod restart 'shop-*' --engine podman"),
    plan=changes.make_plan("pod restart", lambda context, ref: RestartPod(engine=ref.engine, target=ref), Kind.POD),
    render=changes.make_render(changes.Wording(done="restarted")),
    risk=Risk.CHANGE,
    doing="restarting",
    starts=True,
    verbs=(RestartPod.verb,),
    args=(
        Arg(name="target", type=ArgType.TARGET, many=True, required=True, help=TARGET),
        *SELECTION,
        changes.not_running_too("pods", "a glob or an option such as --label"),
    ),
)
