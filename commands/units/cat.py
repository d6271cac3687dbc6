"""`unit cat`: shows the files of the systemd units that run containers, without the values of environment variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import targets
from commands.spec import Command, Context
from commands.units import units
from core.model.actions import Action
from core.model.refs import Kind
from core.model.units import InspectUnit


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await targets.select_targets(context, "unit cat", units.MAX_DRAFTS, Kind.UNIT)
    return [InspectUnit(engine=ref.engine, target=ref) for ref in refs]


command = Command(
    name="unit cat",
    summary="show the files of systemd units of containers",
    examples=("unit cat pod-cart.service", "unit cat pod-cart --engine podman"),
    plan=plan,
    render=lambda _, results: units.render_files(results),
    verbs=(InspectUnit.verb,),
    args=units.TARGETS,
)
