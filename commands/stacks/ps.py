"""`stack ps`: lists the tasks of Swarm stacks, like `docker stack ps`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import tasks
from commands.spec import Command, Context
from core.model.actions import Action
from core.model.swarm import ListTasks


async def plan(context: Context) -> Sequence[Action[Any]]:
    return tasks.every(context, ended=context.args["all"])


command = Command(
    name="stack ps",
    summary="list the tasks of Swarm stacks",
    examples=("stack ps shop", "stack ps 'shop*' -a"),
    plan=plan,
    render=tasks.make_render(lambda args, row: tasks.is_named(row.project, args["target"])),
    verbs=(ListTasks.verb,),
    args=tasks.arguments("stack, or a glob like 'shop*'"),
)
