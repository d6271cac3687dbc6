"""`network connect NETWORK CONTAINER`: connects a container to a network."""

from __future__ import annotations

from commands._shared import changes, network_connect_plan
from commands.spec import Command
from core.model.actions import Risk
from core.model.networks_and_volumes import ConnectNetwork

command = Command(
    name="network connect",
    summary="connect a container to a network",
    examples=("network connect shop_default web", "network connect shop_default web --engine docker/prod-1"),
    plan=network_connect_plan.make_plan(ConnectNetwork),
    render=changes.make_render(changes.Wording(done="connected")),
    risk=Risk.CHANGE,
    doing="connecting",
    verbs=(ConnectNetwork.verb,),
    args=network_connect_plan.ARGUMENTS,
)
