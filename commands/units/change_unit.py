"""`unit install|start|stop|restart`: changes the systemd units that run containers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, targets
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context, Result
from commands.units.units import STYLE
from core.model.actions import Action, Risk
from core.model.refs import Kind, Ref
from core.model.replies import Reply
from core.model.units import InstallUnit, RestartUnit, StartUnit, StopUnit

MAX_TARGETS = 20
WORDING = {
    "install": changes.Wording(done="installed", unchanged=""),
    "start": changes.Wording(done="started", unchanged="was active already"),
    "stop": changes.Wording(done="stopped", unchanged="was not active"),
    "restart": changes.Wording(done="restarted", unchanged=""),
}


async def plan(context: Context) -> Sequence[Action[Any]]:
    do = context.args["do"]
    kind = Kind.CONTAINER if do == "install" else Kind.UNIT
    return [_action(context, ref) for ref in await targets.select(context, f"unit {do}", MAX_TARGETS, kind)]


def _action(context: Context, ref: Ref) -> Action[Any]:
    match context.args["do"]:
        case "install":
            now = not context.args["no_start"]
            return InstallUnit(engine=ref.engine, target=ref, style=context.args["style"], now=now)
        case "start":
            return StartUnit(engine=ref.engine, target=ref)
        case "stop":
            return StopUnit(engine=ref.engine, target=ref)
        case _:
            return RestartUnit(engine=ref.engine, target=ref)


def render(context: Context, results: Sequence[Result]) -> Reply:
    return changes.render_outcomes(WORDING[context.args["do"]], results)


command = Command(
    name="unit",
    summary="install, start, stop or restart systemd units of containers",
    examples=("unit install pod-front", "unit restart pod-cart.service", "unit stop pod-cart --engine podman"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    doing="changing",
    verbs=(InstallUnit.verb, StartUnit.verb, StopUnit.verb, RestartUnit.verb),
    args=(
        Arg(name="do", placeholder="ACTION", required=True, choices=tuple(WORDING), help="the action"),
        Arg(
            name="target",
            type=ArgType.TARGET,
            many=True,
            required=True,
            help="unit (web.service, web) or a glob like 'shop-*'; with install: a container",
        ),
        STYLE,
        Arg(name="--no-start", type=ArgType.FLAG, help="with install: start the unit at the next boot, not now"),
        HOST,
        ENGINE,
    ),
)
