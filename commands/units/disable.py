"""`unit disable`: stops systemd from starting units at boot; with `--now`, also stops them now."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import Arg, ArgType, Command
from commands.units.units import TARGETS
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.units import DisableUnit

command = Command(
    name="unit disable",
    summary="stop systemd from starting units of containers at boot",
    examples=("unit disable pod-cart.service", "unit disable --now pod-cart --engine podman"),
    plan=changes.make_plan(
        "unit disable",
        lambda context, ref: DisableUnit(engine=ref.engine, target=ref, now=context.args["now"]),
        Kind.UNIT,
    ),
    render=changes.make_render(changes.Wording(done="disabled")),
    risk=Risk.CHANGE,
    doing="disabling",
    verbs=(DisableUnit.verb,),
    args=(*TARGETS, Arg(name="--now", type=ArgType.FLAG, help="also stop them now")),
)
