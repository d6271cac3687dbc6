"""`generate systemd`: shows the systemd unit file for a container, as `podman generate systemd` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import targets
from commands.spec import ENGINE, HOST, ONE_CONTAINER, Arg, ArgType, Command, Context, Result
from commands.units import units
from core.model.actions import Action
from core.model.replies import Reply, Text
from core.model.units import DraftUnit
from core.text import command_line


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select_targets(context, "generate systemd", units.MAX_DRAFTS)
    return [DraftUnit(engine=ref.engine, target=ref, style="generate") for ref in refs]


def render(context: Context, results: Sequence[Result]) -> Reply:
    if not context.args["files"]:
        return units.render_files(results)
    line = command_line.quote(["unit", "install", context.args["target"], "--style", "generate"])
    note = f"No file was written. To write it, load it into systemd and start the unit: {line}"
    return units.render_files(results, Text(text=note))


command = Command(
    name="generate systemd",
    summary="show the systemd unit file for a container",
    examples=("generate systemd pod-front", "generate systemd --name pod-front --files --new"),
    plan=plan,
    render=render,
    verbs=(DraftUnit.verb,),
    args=(
        replace(ONE_CONTAINER, help=units.DRAFTED),
        Arg(
            name="--name",
            short="n",
            type=ArgType.FLAG,
            help="give the unit the container's name (always done, so this option changes nothing)",
        ),
        Arg(
            name="--new",
            type=ArgType.FLAG,
            help="let the unit create the container, if Podman recorded its command line (always done, so this option"
            " changes nothing)",
        ),
        Arg(
            name="--files", short="f", type=ArgType.FLAG, help="also show the command that writes the file to the host"
        ),
        HOST,
        ENGINE,
    ),
)
