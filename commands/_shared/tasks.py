"""Plans and renders the lists of Swarm tasks: those of services, of nodes and of stacks."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from commands._shared import formatting, list_commands, targets
from commands.spec import SELECTION, Arg, ArgType, Context, Plan, Render, query
from core.model.actions import Action
from core.model.refs import Kind, Ref
from core.model.replies import Tone
from core.model.swarm import ListTasks, Task
from core.ports import Query

MAX_TARGETS = 20
ALL = Arg(name="--all", short="a", type=ArgType.FLAG, help="also show tasks that have ended")


def make_task_cells(row: Task, now: datetime) -> Sequence[str]:
    """Returns the cells of one task in the table."""
    since = formatting.ago(row.at, now)
    state = row.state if row.exit_code is None else f"{row.state} (code {row.exit_code})"
    wanted = "" if row.desired in ("", row.state) else row.desired
    return (row.ref.name, state, row.node, wanted, since, row.why, formatting.image(row.image), row.ref.short_id)


_TONES = {
    "running": Tone.GOOD,
    **dict.fromkeys(("failed", "rejected", "orphaned"), Tone.BAD),
    **dict.fromkeys(("complete", "shutdown", "remove"), Tone.PLAIN),
}


def _tone(row: Task) -> Tone:
    return _TONES.get(row.state, Tone.WARN)


def arguments(target_help: str) -> Sequence[Arg]:
    """Returns the arguments of a list of tasks. `target_help`: the help of the names that it takes."""
    which = Arg(name="target", type=ArgType.TARGET, many=True, help=f"{target_help}; without TARGET: all")
    return (which, ALL, list_commands.QUIET, list_commands.FORMAT, *SELECTION)


def make_plan(command: str, kind: Kind, action: Callable[[Ref, bool], ListTasks]) -> Plan:
    """Returns a plan that lists the tasks of each typed resource of this kind; without names, all tasks. `action`: the
    list of one resource's tasks, with or without those that have ended."""

    async def plan(context: Context) -> Sequence[Action[Any]]:
        ended = context.args["all"]
        if context.args["target"]:
            refs = await targets.select_targets(context, command, MAX_TARGETS, kind)
            return [action(ref, ended) for ref in refs]
        return every(context, ended=ended)

    return plan


def every(context: Context, *, ended: bool) -> Sequence[Action[Any]]:
    """Returns the actions that list all tasks of all Swarms in scope."""
    wanted = query(context)
    scope = Query(host=wanted.host, engine=wanted.engine, verb=ListTasks.verb)
    return [ListTasks(engine=engine, ended=ended) for engine in context.find.engines(scope)]


def make_render(wanted: Callable[[Mapping[str, Any], Task], bool] = lambda args, row: True) -> Render:
    """Returns the rendering of a list of tasks. `wanted`: whether a row is shown, by the command's own arguments."""
    return list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.TASK,
            columns=("TASK", "STATE", "NODE", "WANTED", "SINCE", "WHY", "IMAGE", "ID"),
            optional=("WANTED", "WHY"),
            priority=("TASK", "STATE", "WHY", "NODE"),
            tone=_tone,
            toned="STATE",
            cells=make_task_cells,
            none="There are no tasks.",
            filter=wanted,
            names=lambda args: (),
            order=lambda row: (row.service, row.ref.name, -row.at),
        )
    )


def is_named(name: str | None, patterns: Sequence[str]) -> bool:
    """Whether a name is one of these names or fits one of these globs; without any, whether there is a name."""
    return bool(name) and (not patterns or any(fnmatch.fnmatchcase(str(name), pattern) for pattern in patterns))
