"""Validates an action's arguments before any engine is called, so that all engines refuse the same mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core import errors
from core.model import actions, images, swarm
from runtimes.formats import image_reference, signals


def validate_arguments(action: actions.Action[Any]) -> None:
    """Checks the arguments of an action. Raises BadUsage for the first invalid one."""
    for field, meaning in _NOT_NEGATIVE.items():
        if (value := getattr(action, field, None)) is not None and value < 0:
            raise errors.BadUsage(f"{meaning} cannot be {value}.", hint="Write 0 or more.")
    if (validate := _CHECKS.get(type(action))) is not None:
        validate(action)


def _exec(action: actions.Exec) -> None:
    if not action.command or not action.command[0]:
        raise errors.BadUsage("There is no program to run.", hint="Write it after the container's name.")
    if any("\0" in argument for argument in action.command):
        raise errors.BadUsage("An argument of a program cannot contain a null byte.", hint="Remove it.")


def _kill(action: actions.Kill) -> None:
    signals.signal_number(action.signal)


def _image(action: images.PullImage | swarm.CreateService | swarm.UpdateImage) -> None:
    image_reference.parse_image_reference(action.image)


def _push(action: images.PushImage) -> None:
    name, id_ = action.target.name.removeprefix("sha256:"), action.target.id.removeprefix("sha256:")
    if not name or id_.startswith(name):
        raise errors.BadUsage(
            "An image without a name cannot be pushed.", hint="Give it a name with `tag`, and push that name."
        )
    if image_reference.parse_image_reference(action.target.name).digest:
        raise errors.BadUsage(
            f"{action.target.name} has no tag to push.", hint="Give it a name with `tag`, and push that name."
        )


def _tag(action: images.TagImage) -> None:
    if image_reference.parse_image_reference(action.tag).digest:
        raise errors.BadUsage("A tag cannot contain a digest.", hint="Write REPOSITORY[:TAG].")


_NOT_NEGATIVE = {
    "tail": "The number of lines",
    "timeout": "A timeout in seconds",
    "replicas": "The number of replicas",
}
_CHECKS: Mapping[type, Callable[[Any], None]] = {
    actions.Exec: _exec,
    actions.Kill: _kill,
    images.PullImage: _image,
    images.PushImage: _push,
    images.TagImage: _tag,
    swarm.CreateService: _image,
    swarm.UpdateImage: _image,
}
