"""`drain`: moves all tasks off Swarm nodes. It asks for confirmation, since every task there moves."""

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
    summary="move all tasks off Swarm nodes and assign no new ones",
    examples=("drain worker-1", "drain 'worker-*' --engine swarm"),
    plan=changes.planning("drain", lambda _, ref: DrainNode(engine=ref.engine, target=ref), Kind.NODE),
    render=changes.rendering(WORDING),
    risk=Risk.CHANGE,
    doing="draining",
    verbs=(DrainNode.verb,),
    args=(NODES, HOST, ENGINE),
)
