"""`volume create NAME`: creates a volume on the engine's own disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, new_resources
from commands.spec import ONE_ENGINE, ONE_HOST, Arg, Command, Context
from core.model.actions import Action, Risk
from core.model.networks_and_volumes import CreateVolume


async def plan(context: Context) -> Sequence[Action[Any]]:
    engine = new_resources.choose_engine(context, CreateVolume.verb, "create volumes")
    labels = new_resources.labels(context.args["label"])
    return [CreateVolume(engine=engine, name=context.args["name"], labels=labels)]


command = Command(
    name="volume create",
    summary="create a volume",
    examples=(
        "volume create shop_uploads --engine docker/prod-1",
        "volume create -l team=shop cache --engine docker/prod-1",
    ),
    plan=plan,
    render=changes.make_render(changes.Wording(done="created")),
    risk=Risk.CHANGE,
    doing="creating",
    verbs=(CreateVolume.verb,),
    args=(
        Arg(name="name", required=True, help="name of the volume"),
        Arg(name="--label", short="l", many=True, placeholder="NAME=VALUE", help="set a label"),
        ONE_HOST,
        ONE_ENGINE,
    ),
)
