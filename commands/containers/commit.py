"""`commit NAME [IMAGE]`: makes an image of a container's file system, as it is now. Volumes and mounts are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import changes, targets
from commands.spec import ENGINE, HOST, ONE_CONTAINER, Arg, ArgType, Command, Context, Result, timeout_option
from core import errors
from core.model import image_names
from core.model.actions import Action, Risk
from core.model.inside_containers import CommitContainer
from core.model.replies import Reply, Status, Text
from core.model.results import Outcome

DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 600, 1_800


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    if args["pause"] and args["no_pause"]:
        raise errors.BadUsage("--pause and --no-pause cannot be combined.", hint="Leave one of them out.")
    (ref,) = await targets.select_targets(context, "commit", 1)
    return [
        CommitContainer(
            engine=ref.engine,
            target=ref,
            tag=image_names.with_default_tag(args["image"]) if args["image"] else "",
            message=args["message"] or "",
            author=args["author"] or "",
            changes=args["change"],
            pause=True if args["pause"] else False if args["no_pause"] else None,
            timeout=args["timeout"],
        )
    ]


def render(context: Context, results: Sequence[Result]) -> Reply:
    reply = changes.render_outcomes(changes.Wording(done="committed"), results, context)
    outcome = results[0].value
    if context.args["image"] or not isinstance(outcome, Outcome) or outcome.status != Status.DONE:
        return reply
    # The detail is `as ID`.
    name = outcome.detail.removeprefix("as ")
    return replace(reply, blocks=(*reply.blocks, Text(text=f"Give the image a name with: tag {name} NAME")))


command = Command(
    name="commit",
    summary="create an image of a container in its present state",
    examples=(
        "commit web",
        "commit web shop/web:debug",
        "commit web shop/web:debug --no-pause -m 'before the upgrade'",
    ),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    doing="committing",
    verbs=(CommitContainer.verb,),
    args=(
        ONE_CONTAINER,
        Arg(
            name="image",
            help="name of the new image: repository[:tag] (default tag: latest); without IMAGE, the image has only"
            " an id",
        ),
        Arg(name="--message", short="m", help="message that the image's history shows"),
        Arg(name="--author", short="a", help="author of the image"),
        Arg(
            name="--change",
            short="c",
            many=True,
            placeholder="INSTRUCTION",
            help='Dockerfile instruction for the image, such as "ENV MODE=test"',
        ),
        Arg(
            name="--pause",
            short="p",
            type=ArgType.FLAG,
            help="pause the container while its image is created (default on Docker)",
        ),
        Arg(
            name="--no-pause",
            type=ArgType.FLAG,
            help="do not pause the container; files that it writes at that time may be incomplete (default on Podman)",
        ),
        timeout_option(DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, "longest time for the creation of the image"),
        HOST,
        ENGINE,
    ),
)
