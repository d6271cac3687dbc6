"""`rename NAME NEW`: gives a container another name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, targets
from commands.spec import ENGINE, HOST, ONE_CONTAINER, Arg, Command, Context
from core import errors
from core.model.actions import Action, Risk
from core.model.rename_and_update import RenameContainer

WORDING = changes.Wording(done="renamed", renames=True)


async def plan(context: Context) -> Sequence[Action[Any]]:
    name = context.args["name"]
    refs = await targets.select_targets(context, "rename", 1)
    if refs[0].name == name:
        raise errors.BadUsage(f"The container is already named {name}.", hint="Write another name.")
    return [RenameContainer(engine=ref.engine, target=ref, name=name) for ref in refs]


command = Command(
    name="rename",
    summary="give a container another name",
    examples=("rename web old-web", "rename web old-web --host prod-1"),
    plan=plan,
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="renaming",
    verbs=(RenameContainer.verb,),
    args=(
        ONE_CONTAINER,
        Arg(name="name", placeholder="NEW_NAME", required=True, help="new name of the container"),
        HOST,
        ENGINE,
    ),
)
