"""`logs`: shows the newest log lines of containers, or follows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import container_logs, targets
from commands.spec import SELECTION, TARGETS, Command, Context
from core.model.actions import Action


async def plan(context: Context) -> Sequence[Action[Any]]:
    return container_logs.plan(
        context, "logs", await targets.select_targets(context, "logs", container_logs.MAX_TARGETS)
    )


command = Command(
    name="logs",
    summary="show the newest log lines of containers",
    examples=(
        "logs web",
        "logs web --tail 500 -t",
        "logs web api --since 10m",
        "logs 'shop-*' --since 1h --stderr",
        "logs web -f",
    ),
    plan=plan,
    render=container_logs.render,
    verbs=("container.logs",),
    shows=container_logs.SHOWS,
    aliases=("log",),
    args=(
        TARGETS,
        *container_logs.OPTIONS,
        *SELECTION,
    ),
)
