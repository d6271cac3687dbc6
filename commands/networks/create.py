"""`network create NAME`: creates a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, new_resources
from commands.spec import ONE_ENGINE, ONE_HOST, Arg, ArgType, Command, Context
from core.model.actions import Action, Risk
from core.model.networks_and_volumes import CreateNetwork


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    return [
        CreateNetwork(
            engine=new_resources.choose_engine(context, CreateNetwork.verb, "create networks"),
            name=args["name"],
            driver=args["driver"],
            scope=args["scope"] or "",
            subnet=args["subnet"] or "",
            ip_range=args["ip_range"] or "",
            gateway=args["gateway"] or "",
            internal=args["internal"],
            attachable=args["attachable"],
            labels=new_resources.labels(args["label"]),
        )
    ]


command = Command(
    name="network create",
    summary="create a network",
    examples=(
        "network create shop_back --engine docker/prod-1",
        "network create --subnet 192.168.1.0/24 --ip-range 192.168.1.128/25 back --engine docker/prod-1",
    ),
    plan=plan,
    render=changes.make_render(changes.Wording(done="created")),
    risk=Risk.CHANGE,
    doing="creating",
    verbs=(CreateNetwork.verb,),
    args=(
        Arg(name="name", required=True, help="name of the network"),
        Arg(name="--driver", default="bridge", help="driver of the network: bridge, overlay, macvlan or ipvlan"),
        Arg(
            name="--scope",
            choices=("local", "global", "swarm"),
            help="where the network exists: local: on this engine; swarm: on all nodes of the Swarm; global: in the"
            " cluster of the network's driver (default: the driver decides)",
        ),
        Arg(name="--subnet", placeholder="CIDR", help="address range of the network, such as 10.9.0.0/16"),
        Arg(name="--ip-range", placeholder="CIDR", help="part of the subnet from which containers get their addresses"),
        Arg(name="--gateway", placeholder="IP", help="address of the gateway"),
        Arg(name="--internal", type=ArgType.FLAG, help="containers of the network cannot reach anything outside it"),
        Arg(
            name="--attachable",
            type=ArgType.FLAG,
            help="let single containers join this network of a Swarm, in addition to services",
        ),
        Arg(name="--label", short="l", many=True, placeholder="NAME=VALUE", help="set a label"),
        ONE_HOST,
        ONE_ENGINE,
    ),
)
