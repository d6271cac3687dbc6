"""`push`: pushes an image to the registry in its name, with the login that the bot's host has for that registry."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, timeout_option
from core.model.actions import Risk
from core.model.images import PushImage
from core.model.refs import Kind

DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 600, 1_800

command = Command(
    name="push",
    summary="push an image to the registry that its name contains",
    examples=(
        "push registry.example/shop/web:1",
        "push registry.example/shop/web:1 --engine docker/prod-1 --timeout 1200",
    ),
    plan=changes.make_plan(
        "push",
        lambda context, ref: PushImage(engine=ref.engine, target=ref, timeout=context.args["timeout"]),
        Kind.IMAGE,
    ),
    render=changes.make_render(changes.Wording(done="pushed")),
    risk=Risk.CHANGE,
    doing="pushing",
    verbs=(PushImage.verb,),
    aliases=("image push",),
    args=(
        Arg(
            name="target",
            type=ArgType.TARGET,
            required=True,
            placeholder="IMAGE",
            help="name of the image: repository:tag",
        ),
        timeout_option(DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, "longest time for the push", short="t"),
        HOST,
        ENGINE,
    ),
)
