"""`network connect NETWORK CONTAINER`: connects a container to a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context
from core import errors
from core.model.actions import Action, Risk
from core.model.networks_and_volumes import ConnectNetwork
from core.model.refs import Kind
from core.ports import Query


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    engine, host = args["engine"] or "", args["host"] or ""
    (target,) = await _one(context, Query(names=(args["target"],), engine=engine, host=host))
    (network,) = await _one(
        context, Query(names=(args["network"],), kind=Kind.NETWORK, engine=str(target.engine), host=host)
    )
    return [ConnectNetwork(engine=target.engine, target=target, network=network)]


async def _one(context: Context, query: Query) -> Sequence[Any]:
    found = await context.find.find(query)
    if len(found) != 1:
        raise errors.Ambiguous(query.names[0], [ref.name for ref in found])
    return found


command = Command(
    name="network connect",
    summary="connect a container to a network",
    examples=("network connect shop_default web", "network connect shop_default web --engine docker/prod-1"),
    plan=plan,
    render=changes.make_render(changes.Wording(done="connected")),
    risk=Risk.CHANGE,
    doing="connecting",
    verbs=(ConnectNetwork.verb,),
    args=(
        Arg(name="network", type=ArgType.TARGET, required=True, help="name or id of the network"),
        Arg(name="target", type=ArgType.TARGET, required=True, help="name of the container"),
        HOST,
        ENGINE,
    ),
)
