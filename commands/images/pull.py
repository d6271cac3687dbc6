"""`pull`: fetches an image to an engine. Where several engines could, one says which. What comes decides what
containers made of it from now on will run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from commands._shared import changes
from commands.spec import SELECTION, Arg, Command, Context, Take
from core import errors
from core.model import image_names
from core.model.actions import Action, Risk
from core.model.images import PullImage
from core.ports import Query
from core.text import command_line

TIMEOUT, LONGEST_TIMEOUT = 600, 1_800  # seconds
SAID = changes.Said(
    command="pull",
    done="pulled",
    already="",
    advice=(
        ("manifest unknown", "Is that tag spelled right?"),
        ("not found", "Is it spelled right, with its registry?"),
        ("unauthorized", "That engine has no login for this registry; give it one on its host."),
        ("denied", "It does not exist, or that engine has no login for its registry."),
        ("toomanyrequests", "The registry counts pulls; wait, or log in on the engine's host."),
    ),
)
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?:(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*"
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_PLACE = re.compile(r"(.*)@((?!sha256:)[^@]*)", re.DOTALL)


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    name, place = _parted(args["image"])
    if place and args["engine"]:
        raise errors.BadUsage(f"Two engines are named: {place} and {args['engine']}.", hint="Leave one out.")
    wanted = Query(engine=place or args["engine"] or "", host=args["host"] or "", verb=PullImage.verb)
    engines = context.find.engines(wanted)
    if len(engines) > 1 and not (wanted.engine or wanted.host):
        shown = ", ".join(map(str, engines[:8])) + (f" and {len(engines) - 8} more" if len(engines) > 8 else "")
        raise errors.BadUsage(
            f"There are {len(engines)} engines that could pull it: {shown}.",
            hint=f"Say which, such as: pull {name} --engine {engines[0]}; --engine '*' means all of them.",
        )
    return [PullImage(engine=engine, image=name, timeout=args["timeout"]) for engine in engines]


def _parted(word: str) -> tuple[str, str]:
    """The image, and the engine where one stands behind it: `busybox:1@podman/1001`."""
    name, place = match.groups() if (match := _PLACE.fullmatch(word)) else (word, "")
    if not _NAME.fullmatch(name) or len(name) > 400:
        low = name.lower()
        near = low if low != name and _NAME.fullmatch(low) else re.sub(r"^[a-z]+://", "", low)
        cure = f"Did you mean {near}?" if near != name and _NAME.fullmatch(near) else "For example: busybox:1.36"
        raise errors.BadUsage(f"“{command_line.abbreviate(name)}” is no image's name.", hint=cure)
    return image_names.with_default_tag(name), place


command = Command(
    name="pull",
    summary="fetch an image",
    examples=(
        "pull nginx:1.27 --host prod-1",
        "pull registry.example/shop/web:2 --engine 'docker/*'",
        "pull nginx@docker/test-1 --timeout 1200",
    ),
    plan=plan,
    render=changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="pulling",
    verbs=(PullImage.verb,),
    args=(
        Arg(name="image", required=True, help="repository, repository:tag or repository@digest; no tag means latest"),
        Arg(
            name="--timeout",
            short="t",
            take=Take.SECONDS,
            default=TIMEOUT,
            top=LONGEST_TIMEOUT,
            help="how long it may take",
        ),
        *(arg for arg in SELECTION if arg.name != "--label"),
    ),
    timeout=timedelta(seconds=LONGEST_TIMEOUT + 60),
)
