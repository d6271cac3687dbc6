"""Chooses the Swarm, or the services of Swarms, that a command acts on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from commands._shared import targets
from commands.spec import ENGINE, HOST, Arg, ArgType, Context, Plan
from core import errors
from core.model.actions import Action
from core.model.refs import EngineRef, Kind, Ref
from core.model.service_actions import RemoveService
from core.ports import Query

KIND = "swarm"
# Of a command that acts on one Swarm.
ONE_HOST = replace(HOST, help="use the Swarm of this host, such as prod-1 (globs allowed)")
ONE_ENGINE = replace(ENGINE, help="use this Swarm, such as swarm/prod-1; needed if several Swarms are watched")
MAX_SERVICES = 50
SERVICES = Arg(
    name="target",
    type=ArgType.TARGET,
    many=True,
    required=True,
    help="Swarm service (shop_web, web), or a glob like 'shop_*'",
)


def choose_swarm(context: Context, verb: str) -> EngineRef:
    """Returns the Swarm that --engine and --host choose. Raises BadUsage if there are several, and NotFound if no
    engine here manages one."""
    args = context.args
    try:
        found = context.find.engines(Query(engine=args["engine"] or KIND, host=args["host"] or "", verb=verb))
    except errors.NotFound:
        if args["engine"] or args["host"]:
            raise
        raise errors.NotFound(
            "None of the watched engines manages a Swarm.",
            hint="Create a Swarm with `swarm init`, or add a manager to `engines` in quarterdeck.yaml.",
        ) from None
    if len(found) > 1:
        shown = ", ".join(map(str, found[:8]))
        raise errors.BadUsage(
            f"This command acts on one Swarm, but {len(found)} are selected: {shown}.",
            hint=f"Choose one of them, for example with: --engine {found[0]}",
        )
    return found[0]


def make_plan(command: str, verb: str, action: Callable[[Context, Ref], Action[Any]]) -> Plan:
    """Returns a plan with one action for each service that was typed."""

    async def plan(context: Context) -> Sequence[Action[Any]]:
        return [action(context, ref) for ref in await select_services(context, command, verb)]

    return plan


async def select_services(context: Context, command: str, verb: str, maximum: int = MAX_SERVICES) -> Sequence[Ref]:
    """Returns the services that were typed. Raises Unsupported for a service of Compose, before anything is asked."""
    found = await targets.select_targets(context, command, maximum, Kind.SERVICE)
    if compose := next((ref for ref in found if ref.engine.kind != KIND), None):
        cure = (
            f"Remove its containers with: rm -f {compose.name}"
            if verb == RemoveService.verb
            else f"Change it in its Compose file, or scale it with: scale {compose.name}=COUNT"
        )
        raise errors.Unsupported(verb, str(compose.engine), f"{compose.name} is not a service of a Swarm. {cure}")
    return found
