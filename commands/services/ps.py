"""`service ps`: lists the tasks of Swarm services, like `docker service ps`."""

from __future__ import annotations

from commands._shared import tasks
from commands.spec import Command
from core.model.refs import Kind
from core.model.swarm import ListTasks

command = Command(
    name="service ps",
    summary="list the tasks of Swarm services",
    examples=("service ps shop_front", "service ps 'shop_*' -a", "service ps"),
    plan=tasks.make_plan(
        "service ps", Kind.SERVICE, lambda ref, ended: ListTasks(engine=ref.engine, service=ref.id, ended=ended)
    ),
    render=tasks.make_render(),
    verbs=(ListTasks.verb,),
    aliases=("tasks",),
    args=tasks.arguments("Swarm service (shop_web, web), or a glob like 'shop_*'"),
)
