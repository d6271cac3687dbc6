"""`tag IMAGE NAME`: gives an image one more name. An image that has this name now loses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, targets
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context
from core.model import image_names
from core.model.actions import Action, Risk
from core.model.images import TagImage
from core.model.refs import Kind

MAX_TARGETS = 5


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select_targets(context, "tag", MAX_TARGETS, Kind.IMAGE)
    name = image_names.with_default_tag(context.args["name"])
    return [TagImage(engine=ref.engine, target=ref, tag=name) for ref in refs]


command = Command(
    name="tag",
    summary="give an image one more name",
    examples=(
        "tag nginx:1.27 registry.example/shop/web:2",
        "tag nginx:1.27 shop/web:stable --engine docker/prod-1",
    ),
    plan=plan,
    render=changes.make_render(changes.Wording(done="tagged")),
    risk=Risk.CHANGE,
    doing="tagging",
    verbs=(TagImage.verb,),
    aliases=("image tag",),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            required=True,
            placeholder="IMAGE",
            help="repository:tag, id or digest of one image",
        ),
        Arg(
            name="name",
            placeholder="NEW_NAME",
            required=True,
            help="new name of the image: repository[:tag] (default tag: latest)",
        ),
        HOST,
        ENGINE,
    ),
)
