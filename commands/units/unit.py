"""`unit install|start|stop|restart`: changes of systemd's units that run containers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from commands._shared import changes, show
from commands.spec import SELECTION, Arg, Command, Context, Result, Take
from commands.units.units import STYLE
from core.model.actions import Action, Risk
from core.model.refs import Kind, Ref
from core.model.replies import Reply
from core.model.units import InstallUnit, RestartUnit, StartUnit, StopUnit

MOST = 20
SAID = {
    "install": changes.Said(command="unit install", done="installed", already=""),
    "start": changes.Said(command="unit start", done="started", already="was active already"),
    "stop": changes.Said(command="unit stop", done="stopped", already="was not active"),
    "restart": changes.Said(command="unit restart", done="restarted", already=""),
}


async def plan(context: Context) -> Sequence[Action[Any]]:
    do = context.args["do"]
    kind = Kind.CONTAINER if do == "install" else Kind.UNIT
    return [_action(context, ref) for ref in await show.chosen(context, f"unit {do}", MOST, kind)]


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
    return changes.outcomes(SAID[context.args["do"]], results)


command = Command(
    name="unit",
    summary="install, start, stop or restart units that run containers",
    examples=("unit install pod-front", "unit restart pod-cart.service", "unit stop pod-cart --engine podman"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    doing="changing",
    verbs=(InstallUnit.verb, StartUnit.verb, StopUnit.verb, RestartUnit.verb),
    args=(
        Arg(name="do", required=True, choices=tuple(SAID), help="what to do"),
        Arg(
            name="target",
            take=Take.TARGET,
            many=True,
            required=True,
            help="a unit (web.service, web) or a glob like 'shop-*'; for install a container",
        ),
        STYLE,
        Arg(name="--no-start", take=Take.FLAG, help="of install: only from the next boot on"),
        *(arg for arg in SELECTION if arg.name != "--label"),
    ),
    timeout=timedelta(seconds=120),
)
