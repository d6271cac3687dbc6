"""`drain`: empties nodes of a Swarm. It asks first, since every task there moves."""

from __future__ import annotations

from commands._shared import changes
from commands.spec import SELECTION, Arg, Command, Take
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.swarm import DrainNode

SAID = changes.Said(command="drain", done="drained", already="was drained already")
NODES = Arg(
    name="target",
    take=Take.TARGET,
    many=True,
    required=True,
    help="a node, the beginning of its name or id, or a glob like 'worker-*'",
)
WHERE = tuple(arg for arg in SELECTION if arg.name != "--label")

command = Command(
    name="drain",
    summary="move all tasks off nodes of a Swarm, and give them none",
    examples=("drain worker-1", "drain 'worker-*' --engine swarm"),
    plan=changes.planning("drain", lambda _, ref: DrainNode(engine=ref.engine, target=ref), Kind.NODE),
    render=changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="draining",
    verbs=(DrainNode.verb,),
    args=(NODES, *WHERE),
)
