"""`run IMAGE`: creates a container and starts it in the background. The image is pulled first if it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, new_container
from commands.spec import Arg, ArgType, Command, Context
from core.model.actions import Action, Risk
from core.model.create_container import CreateContainer


async def plan(context: Context) -> Sequence[Action[Any]]:
    return await new_container.plan_creation(context, start=True)


command = Command(
    name="run",
    summary="create a container from an image and start it",
    examples=(
        "run nginx:1.27 --engine docker/prod-1",
        "run --name front -p 8080:80 -e MODE=test nginx --engine docker/prod-1",
        "run --engine docker/prod-1 --rm --name busy --memory 64m busybox sleep 60",
    ),
    plan=plan,
    render=changes.make_render(changes.Wording(done="started", not_done="not started", advice=changes.PORT_ADVICE)),
    risk=Risk.CHANGE,
    doing="starting",
    starts=True,
    verbs=(CreateContainer.verb,),
    args=(
        *new_container.ARGS,
        Arg(
            name="--detach",
            short="d",
            type=ArgType.FLAG,
            help="run in the background (always done, so this option changes nothing)",
        ),
    ),
)
