"""`update`: changes the limits and the restart policy of containers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, container_limits, targets
from commands.spec import Arg, Command, Context
from core import errors
from core.model.actions import Action, Risk
from core.model.rename_and_update import UpdateContainer

WORDING = changes.Wording(done="updated")


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    memory, cpus, pids = (
        container_limits.memory_bytes(args["memory"]),
        container_limits.changed_cpus(args["cpus"]),
        container_limits.pids(args["pids_limit"]),
    )
    restart = args["restart"] or ""
    if not (memory or cpus or pids or restart):
        raise errors.BadUsage(
            "The command `update` needs something to change.",
            hint="Add --memory, --cpus, --pids-limit or --restart, for example: --memory 512m",
        )
    return [
        UpdateContainer(engine=ref.engine, target=ref, memory=memory, cpus=cpus, pids=pids, restart=restart)
        for ref in await targets.select_targets(context, "update", changes.MAX_TARGETS)
    ]


command = Command(
    name="update",
    summary="change or remove limits of containers, and change their restart policy",
    examples=(
        "update web --memory 512m --cpus 1.5",
        "update web --restart unless-stopped",
        "update web --pids-limit 200",
        "update web --memory unlimited --cpus unlimited",
    ),
    plan=plan,
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="updating",
    verbs=(UpdateContainer.verb,),
    args=(
        *changes.TARGET_ARGS,
        Arg(name="--memory", short="m", placeholder="SIZE", help="memory limit, such as 512m, or unlimited"),
        Arg(name="--cpus", placeholder="NUMBER", help="CPU limit, such as 1.5, or unlimited"),
        Arg(name="--pids-limit", placeholder="NUMBER", help="largest number of processes, or unlimited"),
        Arg(
            name="--restart",
            placeholder="POLICY",
            help="when the engine starts the container again: no, always, unless-stopped or on-failure[:TIMES]",
        ),
    ),
)
