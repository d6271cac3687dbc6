"""`pod stop`: stops all containers of pods, and kills those that have not stopped in time."""

from __future__ import annotations

from commands._shared import changes
from commands.pods.inspect import TARGET
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.pods import StopPod
from core.model.refs import Kind

command = Command(
    name="pod stop",
    summary="stop all containers of pods",
    examples=("pod stop shop", "pod stop shop --timeout 30"),
    plan=changes.make_plan(
        "pod stop",
        lambda context, ref: StopPod(engine=ref.engine, target=ref, timeout=context.args["timeout"]),
        Kind.POD,
    ),
    render=changes.make_render(changes.Wording(done="stopped", unchanged="was not running")),
    risk=Risk.CHANGE,
    doing="stopping",
    verbs=(StopPod.verb,),
    args=(
        Arg(name="target", type=ArgType.TARGET, many=True, required=True, help=TARGET),
        *SELECTION,
        changes.TIMEOUT,
    ),
)
