"""`network disconnect NETWORK CONTAINER`: disconnects a container from a network."""

from __future__ import annotations

from commands._shared import changes, network_connect_plan
from commands.spec import Command
from core.model.actions import Risk
from core.model.networks_and_volumes import DisconnectNetwork

command = Command(
    name="network disconnect",
    summary="disconnect a container from a network",
    examples=("network disconnect shop_default web", "network disconnect shop_default web --engine docker/prod-1"),
    plan=network_connect_plan.make_plan(DisconnectNetwork),
    render=changes.make_render(changes.Wording(done="disconnected")),
    risk=Risk.CHANGE,
    doing="disconnecting",
    verbs=(DisconnectNetwork.verb,),
    args=network_connect_plan.ARGUMENTS,
)
