"""`create IMAGE`: creates a container and does not start it. The image is pulled first if it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, new_container
from commands.spec import Command, Context
from core.model.actions import Action, Risk
from core.model.create_container import CreateContainer


async def plan(context: Context) -> Sequence[Action[Any]]:
    return await new_container.plan_creation(context, start=False)


command = Command(
    name="create",
    summary="create a container from an image without starting it",
    examples=(
        "create nginx:1.27 --engine docker/prod-1",
        "create --name front --network shop_default --restart unless-stopped nginx --engine docker/prod-1",
    ),
    plan=plan,
    render=changes.make_render(changes.Wording(done="created")),
    risk=Risk.CHANGE,
    doing="creating",
    verbs=(CreateContainer.verb,),
    args=new_container.ARGS,
)
