"""`rm`: removes containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import changes, targets
from commands.spec import CONTAINER_NAMES, SELECTION, TARGETS, Arg, ArgType, Command, Context, query
from core import errors
from core.model.actions import Action, Remove, Risk
from core.model.refs import Ref

WORDING = changes.Wording(
    done="removed",
    unchanged="was already gone",
    advice=(("running", "Stop it first, or use -f."), ("paused", "Unpause it first, or use -f.")),
)


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    return [
        Remove(engine=ref.engine, target=ref, force=args["force"], volumes=args["volumes"])
        for ref in await (
            _stopped(context) if args["all"] else targets.select_targets(context, "rm", changes.MAX_TARGETS)
        )
    ]


async def _stopped(context: Context) -> Sequence[Ref]:
    """Finds the containers that do not run."""
    if context.args["target"]:
        raise errors.BadUsage(
            "-a takes no names: it means every stopped container.", hint="Leave out -a, or leave out the names."
        )
    if context.args["force"]:
        raise errors.BadUsage(
            "-a and -f cannot be combined: -a removes only stopped containers.",
            hint="Leave out -f. To remove a running container, name it: rm -f NAME",
        )
    refs = await context.find.find(replace(query(context), stopped=True))
    if len(refs) > changes.MAX_TARGETS:
        raise errors.BadUsage(
            f"{len(refs)} containers are stopped, and one command removes at most {changes.MAX_TARGETS}.",
            hint="Select fewer of them with --host, --engine or --label.",
        )
    return refs


command = Command(
    name="rm",
    summary="remove containers",
    examples=("rm old-web", "rm -f web", "rm 'batch-*' --volumes", "rm -a --host prod-1"),
    plan=plan,
    render=changes.make_render(WORDING),
    risk=Risk.DESTROY,
    doing="removing",
    verbs=(Remove.verb,),
    aliases=("remove",),
    args=(
        replace(TARGETS, help=f"{CONTAINER_NAMES}; can be left out with --label, --host, --engine or -a"),
        *SELECTION,
        Arg(
            name="--all",
            short="a",
            type=ArgType.FLAG,
            help="remove all stopped containers; they are listed, and you confirm",
        ),
        Arg(name="--force", short="f", type=ArgType.FLAG, help="kill running containers first"),
        Arg(
            name="--volumes",
            short="v",
            type=ArgType.FLAG,
            help="also remove the containers' anonymous volumes, with all data in them",
        ),
    ),
)
