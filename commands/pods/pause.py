"""`pod pause`: freezes all containers of pods."""

from __future__ import annotations

from commands._shared import changes
from commands.pods.inspect import TARGET
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.pods import PausePod
from core.model.refs import Kind

command = Command(
    name="pod pause",
    summary="pause all containers of pods",
    examples=("pod pause shop", "pod pause shop --host prod-1"),
    plan=changes.make_plan("pod pause", lambda context, ref: PausePod(engine=ref.engine, target=ref), Kind.POD),
    render=changes.make_render(changes.Wording(done="paused", unchanged="was already paused")),
    risk=Risk.CHANGE,
    doing="pausing",
    verbs=(PausePod.verb,),
    args=(
        Arg(name="target", type=ArgType.TARGET, many=True, required=True, help=TARGET),
        *SELECTION,
    ),
)
