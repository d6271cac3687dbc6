"""`activate`: lets nodes of a Swarm be given tasks again."""

from __future__ import annotations

from commands._shared import changes
from commands.nodes.drain import NODES, WHERE
from commands.spec import Command
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.swarm import ActivateNode

SAID = changes.Said(command="activate", done="activated", already="was active already")

command = Command(
    name="activate",
    summary="let nodes of a Swarm be given tasks again",
    examples=("activate worker-2", "activate 'worker-*' --engine swarm"),
    plan=changes.planning("activate", lambda _, ref: ActivateNode(engine=ref.engine, target=ref), Kind.NODE),
    render=changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="activating",
    verbs=(ActivateNode.verb,),
    args=(NODES, *WHERE),
)
