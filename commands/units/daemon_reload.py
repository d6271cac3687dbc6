"""`daemon-reload`: lets the systemd of engines read all unit files again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import changes
from commands.spec import ENGINE, HOST, Command, Context, query
from core.model.actions import Action, Risk
from core.model.units import ReloadUnits


async def plan(context: Context) -> Sequence[Action[Any]]:
    wanted = replace(query(context), verb=ReloadUnits.verb)
    return [ReloadUnits(engine=engine) for engine in context.find.engines(wanted)]


command = Command(
    name="daemon-reload",
    summary="let systemd read its unit files again",
    examples=("daemon-reload --engine podman", "daemon-reload --host prod-1"),
    plan=plan,
    render=changes.make_render(changes.Wording(done="reloaded")),
    risk=Risk.CHANGE,
    doing="reloading",
    verbs=(ReloadUnits.verb,),
    args=(HOST, ENGINE),
)
