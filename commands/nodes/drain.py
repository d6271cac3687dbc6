"""`drain`: moves all tasks from Swarm nodes to other nodes. It asks for confirmation, since every task moves."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import ENGINE, HOST, Arg, ArgType, Command
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.swarm import DrainNode

WORDING = changes.Wording(done="drained", unchanged="was drained already")
NODES = Arg(
    name="target",
    type=ArgType.TARGET,
    many=True,
    required=True,
    help="node, start of its name or id, or a glob like 'worker-*'",
)

command = Command(
    name="drain",
    summary="move tasks off Swarm nodes until you activate the nodes again",
    examples=("drain worker-1", "drain 'worker-*' --engine swarm"),
    plan=changes.make_plan("drain", lambda _, ref: DrainNode(engine=ref.engine, target=ref), Kind.NODE),
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="draining",
    verbs=(DrainNode.verb,),
    aliases=("node drain",),
    args=(NODES, HOST, ENGINE),
)
