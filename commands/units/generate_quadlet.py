"""`generate quadlet`: shows the Quadlet file for a container, from which Podman's generator makes a systemd unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import targets
from commands.spec import ENGINE, HOST, ONE_CONTAINER, Command, Context, Result
from commands.units import units
from core.model.actions import Action
from core.model.replies import Reply, Text
from core.model.units import DraftUnit
from core.text import command_line


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select_targets(context, "generate quadlet", units.MAX_DRAFTS)
    return [DraftUnit(engine=ref.engine, target=ref, style="quadlet") for ref in refs]


def render(context: Context, results: Sequence[Result]) -> Reply:
    line = command_line.quote(["unit", "install", context.args["target"]])
    return units.render_files(results, Text(text=f"No file was written. To write it and start the unit: {line}"))


command = Command(
    name="generate quadlet",
    summary="show the Quadlet file for a container",
    examples=("generate quadlet pod-front", "generate quadlet pod-front --engine podman"),
    plan=plan,
    render=render,
    verbs=(DraftUnit.verb,),
    aliases=("quadlet show", "quadlet generate"),
    args=(replace(ONE_CONTAINER, help=units.DRAFTED), HOST, ENGINE),
)
