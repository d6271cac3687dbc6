"""`unit start`: starts systemd units that run containers."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from commands.units.units import TARGETS
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.units import StartUnit

command = Command(
    name="unit start",
    summary="start systemd units of containers",
    examples=("unit start pod-cart.service", "unit start pod-cart --engine podman"),
    plan=changes.make_plan("unit start", lambda context, ref: StartUnit(engine=ref.engine, target=ref), Kind.UNIT),
    render=changes.make_render(changes.Wording(done="started", unchanged="was active already")),
    risk=Risk.CHANGE,
    doing="starting",
    starts=True,
    verbs=(StartUnit.verb,),
    args=TARGETS,
)
