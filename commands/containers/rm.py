"""`rm`: removes containers."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Arg, ArgType, Command
from core.model.actions import Remove, Risk

WORDING = changes.Wording(
    done="removed",
    unchanged="was already gone",
    advice=(("running", "Stop it first, or use -f."), ("paused", "Unpause it first, or use -f.")),
)

command = Command(
    name="rm",
    summary="remove containers",
    examples=("rm old-web", "rm -f web", "rm 'batch-*' --volumes"),
    plan=changes.make_plan(
        "rm",
        lambda context, ref: Remove(
            engine=ref.engine, target=ref, force=context.args["force"], volumes=context.args["volumes"]
        ),
    ),
    render=changes.make_render(WORDING),
    risk=Risk.DESTROY,
    doing="removing",
    verbs=(Remove.verb,),
    aliases=("remove",),
    args=(
        *changes.TARGET_ARGS,
        Arg(name="--force", short="f", type=ArgType.FLAG, help="kill running containers first"),
        Arg(
            name="--volumes",
            short="v",
            type=ArgType.FLAG,
            help="also remove their anonymous volumes and all data in them",
        ),
    ),
)
