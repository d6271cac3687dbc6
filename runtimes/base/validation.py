"""What no engine needs to be asked: actions whose words cannot mean anything, refused with their cure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core import errors
from core.model import actions, images
from runtimes.formats import image_reference


def check(action: actions.Action[Any]) -> None:
    """Raises BadUsage."""
    if (how := _CHECKS.get(type(action))) is not None:
        how(action)


def _pull(action: images.PullImage) -> None:
    image_reference.parse(action.image)


def _tag(action: images.TagImage) -> None:
    if image_reference.parse(action.tag).digest:
        raise errors.BadUsage("An image cannot be given a digest as its name.", hint="Write REPOSITORY[:TAG].")


def _exec(action: actions.Exec) -> None:
    if not action.command or not action.command[0]:
        raise errors.BadUsage("There is no program to run.", hint="Write it behind the container's name.")
    if any("\0" in word for word in action.command):
        raise errors.BadUsage("A program's words cannot hold a zero byte.", hint="Leave it out.")


_CHECKS: Mapping[type, Callable[[Any], None]] = {
    images.PullImage: _pull,
    images.TagImage: _tag,
    actions.Exec: _exec,
}
