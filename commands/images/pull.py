"""`pull`: pulls an image to an engine. If there are several engines, the user must choose one. Existing containers are
not changed. Only containers that are created after the pull use the new image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from commands._shared import changes
from commands.spec import CHOSEN_ENGINE, HOST, Arg, Command, Context, timeout_option
from core import errors
from core.model import image_names
from core.model.actions import Action, Risk
from core.model.images import PullImage
from core.ports import Query
from core.text import command_line

DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 600, 1_800
WORDING = changes.Wording(done="pulled")
IMAGE_HINT = "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36."
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?:(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*"
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_ENGINE = re.compile(r"(.*)@((?!sha256:)[^@]*)", re.DOTALL)


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    name, engine_pattern = _split(args["image"])
    if engine_pattern and args["engine"]:
        raise errors.BadUsage(
            f"The command names two engines: {engine_pattern} and {args['engine']}.", hint="Leave one of them out."
        )
    wanted = Query(engine=engine_pattern or args["engine"] or "", host=args["host"] or "", verb=PullImage.verb)
    engines = context.find.engines(wanted)
    if len(engines) > 1 and not (wanted.engine or wanted.host):
        raise errors.SeveralEngines(f"pull {name}", [str(engine) for engine in engines], everywhere=True)
    return [PullImage(engine=engine, image=name, timeout=args["timeout"]) for engine in engines]


def _split(text: str) -> tuple[str, str]:
    """The image, and the engine where one follows it: `busybox:1@podman/1001`."""
    name, engine_pattern = match.groups() if (match := _ENGINE.fullmatch(text)) else (text, "")
    if not _NAME.fullmatch(name) or len(name) > 400:
        low = name.lower()
        near = low if low != name and _NAME.fullmatch(low) else re.sub(r"^[a-z]+://([^/]*@)?", "", text.lower())
        hint = f"Did you mean {near}?" if near != name and _NAME.fullmatch(near) else IMAGE_HINT
        # With all that was typed, because the @ of a URL shows that a password comes before it.
        shown = text if "://" in text else name
        raise errors.BadUsage(f"“{command_line.abbreviate(shown)}” is not an image name.", hint=hint)
    return image_names.with_default_tag(name), engine_pattern


command = Command(
    name="pull",
    summary="pull an image from its registry",
    examples=(
        "pull nginx:1.27 --host prod-1",
        "pull registry.example/shop/web:2 --engine 'docker/*'",
        "pull nginx@docker/test-1 --timeout 1200",
    ),
    plan=plan,
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="pulling",
    verbs=(PullImage.verb,),
    args=(
        Arg(
            name="image",
            required=True,
            help="repository, repository:tag (default tag: latest) or repository@digest; add @ENGINE for one engine",
        ),
        timeout_option(DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, "longest time for the pull", short="t"),
        HOST,
        CHOSEN_ENGINE,
    ),
)
