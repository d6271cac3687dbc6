"""`network inspect`: shows networks in detail: a summary, fields by `--format`, or JSON by `--raw`."""

from __future__ import annotations

from commands._shared import inspection
from commands.spec import Command
from core.model.networks_and_volumes import InspectNetwork
from core.model.refs import Kind

TARGET = "network, start of its name or id, or a glob like 'shop*'"

command = Command(
    name="network inspect",
    summary="show networks in detail",
    examples=("network inspect shop_default", "network inspect bridge --raw"),
    plan=inspection.make_plan("network inspect", InspectNetwork, Kind.NETWORK),
    render=inspection.render,
    verbs=(InspectNetwork.verb,),
    args=inspection.make_inspect_arguments(TARGET, "{{.Driver}}, {{json .IPAM}}"),
)
