"""`unit enable`: lets systemd start units at every boot; with `--now`, also starts them now."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Arg, ArgType, Command
from commands.units.units import TARGETS
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.units import EnableUnit

command = Command(
    name="unit enable",
    summary="let systemd start units of containers at every boot",
    examples=("unit enable --now pod-cart.service", "unit enable pod-cart --engine podman"),
    plan=changes.make_plan(
        "unit enable",
        lambda context, ref: EnableUnit(engine=ref.engine, target=ref, now=context.args["now"]),
        Kind.UNIT,
    ),
    render=changes.make_render(changes.Wording(done="enabled")),
    risk=Risk.CHANGE,
    doing="enabling",
    verbs=(EnableUnit.verb,),
    args=(*TARGETS, Arg(name="--now", type=ArgType.FLAG, help="also start them now")),
)
