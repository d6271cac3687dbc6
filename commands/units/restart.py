"""`unit restart`: restarts systemd units that run containers."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Command
from commands.units.units import TARGETS
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.units import RestartUnit

command = Command(
    name="unit restart",
    summary="restart systemd units of containers",
    examples=("unit restart pod-cart.service", "unit restart 'pod-*' --engine podman"),
    plan=changes.make_plan("unit restart", lambda context, ref: RestartUnit(engine=ref.engine, target=ref), Kind.UNIT),
    render=changes.make_render(changes.Wording(done="restarted")),
    risk=Risk.CHANGE,
    doing="restarting",
    starts=True,
    verbs=(RestartUnit.verb,),
    args=(*TARGETS, changes.not_running_too("units")),
)
