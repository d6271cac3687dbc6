"""`unit stop`: stops systemd units that run containers."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from commands.units.units import TARGETS
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.units import StopUnit

command = Command(
    name="unit stop",
    summary="stop systemd units of containers",
    examples=("unit stop pod-cart.service", "unit stop pod-cart --engine podman"),
    plan=changes.make_plan("unit stop", lambda context, ref: StopUnit(engine=ref.engine, target=ref), Kind.UNIT),
    render=changes.make_render(changes.Wording(done="stopped", unchanged="was not active")),
    risk=Risk.CHANGE,
    doing="stopping",
    verbs=(StopUnit.verb,),
    args=TARGETS,
)
