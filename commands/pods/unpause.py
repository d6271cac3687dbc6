"""`pod unpause`: lets all containers of pods continue."""

from __future__ import annotations

from commands._shared import changes
from commands.pods.inspect import TARGET
from commands.spec import SELECTION, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.pods import UnpausePod
from core.model.refs import Kind

command = Command(
    name="pod unpause",
    summary="unpause all containers of pods",
    examples=("pod unpause shop", "pod unpause shop --host prod-1"),
    plan=changes.make_plan("pod unpause", lambda context, ref: UnpausePod(engine=ref.engine, target=ref), Kind.POD),
    render=changes.make_render(changes.Wording(done="unpaused", unchanged="was not paused")),
    risk=Risk.CHANGE,
    doing="unpausing",
    starts=True,
    verbs=(UnpausePod.verb,),
    args=(
        Arg(name="target", type=ArgType.TARGET, many=True, required=True, help=TARGET),
        *SELECTION,
    ),
)
