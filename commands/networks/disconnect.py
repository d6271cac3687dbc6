"""`network disconnect NETWORK CONTAINER`: disconnects a container from a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context
from core import errors
from core.model.actions import Action, Risk
from core.model.networks_and_volumes import DisconnectNetwork
from core.model.refs import Kind
from core.ports import Query


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    engine, host = args["engine"] or "", args["host"] or ""
    (target,) = await _one(context, Query(names=(args["target"],), engine=engine, host=host))
    (network,) = await _one(
        context, Query(names=(args["network"],), kind=Kind.NETWORK, engine=str(target.engine), host=host)
    )
    return [DisconnectNetwork(engine=target.engine, target=target, network=network)]


async def _one(context: Context, query: Query) -> Sequence[Any]:
    found = await context.find.find(query)
    if len(found) != 1:
        raise errors.Ambiguous(query.names[0], [ref.name for ref in found])
    return found


command = Command(
    name="network disconnect",
    summary="disconnect a container from a network",
    examples=("network disconnect shop_default web", "network disconnect shop_default web --engine docker/prod-1"),
    plan=plan,
    render=changes.make_render(changes.Wording(done="disconnected")),
    risk=Risk.CHANGE,
    doing="disconnecting",
    verbs=(DisconnectNetwork.verb,),
    args=(
        Arg(name="network", type=ArgType.TARGET, required=True, help="name or id of the network"),
        Arg(name="target", type=ArgType.TARGET, required=True, help="name of the container"),
        HOST,
        ENGINE,
    ),
)
