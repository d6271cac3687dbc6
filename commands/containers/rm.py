"""`rm`: removes containers for good."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Arg, Command, Take
from core.model.actions import Remove, Risk

SAID = changes.Said(
    command="rm",
    done="removed",
    already="was already gone",
    advice=(("running", "Stop it first, or give -f."), ("paused", "Unpause it first, or give -f.")),
)

command = Command(
    name="rm",
    summary="remove containers",
    examples=("rm old-web", "rm -f web", "rm 'batch-*' --volumes"),
    plan=changes.planning(
        "rm",
        lambda context, ref: Remove(
            engine=ref.engine, target=ref, force=context.args["force"], volumes=context.args["volumes"]
        ),
    ),
    render=changes.rendering(SAID),
    risk=Risk.DESTROY,
    doing="removing",
    verbs=(Remove.verb,),
    aliases=("remove",),
    args=(
        *changes.WHICH,
        Arg(name="--force", short="f", take=Take.FLAG, help="kill it first if it is running"),
        Arg(name="--volumes", short="v", take=Take.FLAG, help="also its anonymous volumes, with what they hold"),
    ),
)
