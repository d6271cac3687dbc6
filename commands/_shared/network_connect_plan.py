"""Plans the two commands that take a network and a container: `network connect` and `network disconnect`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from commands._shared import targets
from commands.spec import ENGINE, HOST, ONE_CONTAINER, Arg, ArgType, Context
from core import errors
from core.model.actions import Action
from core.model.networks_and_volumes import ConnectNetwork, DisconnectNetwork
from core.model.refs import Kind
from core.ports import Query

ARGUMENTS = (
    Arg(name="network", type=ArgType.TARGET, required=True, help="name of one network, or the start of its name or id"),
    ONE_CONTAINER,
    HOST,
    ENGINE,
)


def make_plan(
    action: type[ConnectNetwork] | type[DisconnectNetwork],
) -> Callable[[Context], Awaitable[Sequence[Action[Any]]]]:
    """Returns a plan that finds one container, and one network of the same engine."""

    async def plan(context: Context) -> Sequence[Action[Any]]:
        args = context.args
        engine, host = args["engine"] or "", args["host"] or ""
        (target,) = await _one(context, Query(names=(args["target"],), engine=engine, host=host))
        wanted = Query(names=(args["network"],), kind=Kind.NETWORK, engine=str(target.engine), host=host)
        (network,) = await _one(context, wanted)
        return [action(engine=target.engine, target=target, network=network)]

    return plan


async def _one(context: Context, query: Query) -> Sequence[Any]:
    found = await context.find.find(query)
    if len(found) != 1:
        raise errors.Ambiguous(query.names[0], targets.display_names(found))
    return found
