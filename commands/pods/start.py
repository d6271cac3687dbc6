"""`pod start`: starts all containers of pods."""

from __future__ import annotations

from commands._shared import changes
from commands.pods.inspect import TARGET
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.pods import StartPod
from core.model.refs import Kind

command = Command(
    name="pod start",
    summary="start all containers of pods",
    examples=("pod start shop", "pod start 'shop-*' --engine podman"),
    plan=changes.make_plan("pod start", lambda context, ref: StartPod(engine=ref.engine, target=ref), Kind.POD),
    render=changes.make_render(
        changes.Wording(done="started", unchanged="was already running", advice=changes.PORT_ADVICE)
    ),
    risk=Risk.CHANGE,
    doing="starting",
    starts=True,
    verbs=(StartPod.verb,),
    args=(
        Arg(name="target", type=ArgType.TARGET, many=True, required=True, help=TARGET),
        *SELECTION,
    ),
)
