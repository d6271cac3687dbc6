"""`node ps`: lists the tasks on Swarm nodes, like `docker node ps`."""

from __future__ import annotations

from commands._shared import tasks
from commands.spec import Command
from core.model.refs import Kind
from core.model.swarm import ListTasks

command = Command(
    name="node ps",
    summary="list the tasks on Swarm nodes",
    examples=("node ps worker-1", "node ps 'worker-*' -a"),
    plan=tasks.make_plan(
        "node ps", Kind.NODE, lambda ref, ended: ListTasks(engine=ref.engine, node=ref.id, ended=ended)
    ),
    render=tasks.make_render(),
    verbs=(ListTasks.verb,),
    args=tasks.arguments("node, start of its name or id, or a glob like 'worker-*'"),
)
