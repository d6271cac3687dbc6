"""`activate`: lets Swarm nodes run tasks again, after they were drained or paused."""

from __future__ import annotations

from commands._shared import changes
from commands.nodes.drain import NODES
from commands.spec import ENGINE, HOST, Command
from core.model.actions import Risk
from core.model.refs import Kind
from core.model.swarm import ActivateNode

WORDING = changes.Wording(done="activated", unchanged="was active already")

command = Command(
    name="activate",
    summary="let drained or paused Swarm nodes run tasks again",
    examples=("activate worker-2", "activate 'worker-*' --engine swarm"),
    plan=changes.make_plan("activate", lambda _, ref: ActivateNode(engine=ref.engine, target=ref), Kind.NODE),
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="activating",
    verbs=(ActivateNode.verb,),
    aliases=("node activate",),
    args=(NODES, HOST, ENGINE),
)
