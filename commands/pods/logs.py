"""`pod logs`: shows the newest log lines of all containers of pods, or follows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import container_logs
from commands.pods.inspect import TARGET
from commands.spec import ENGINE_OF_KIND, HOST, LABEL, Arg, ArgType, Command, Context, query
from core import errors
from core.model.actions import Action, ReadLogs
from core.model.refs import Kind


async def plan(context: Context) -> Sequence[Action[Any]]:
    refs = await context.find.find(replace(query(context), kind=Kind.POD, members=True))
    if not refs:
        raise errors.NotFound(
            f"The selected pods have no container that you may list: {' '.join(context.args['target'])}",
            hint="List the pods and the number of their containers with: pods",
        )
    if len(refs) > container_logs.MAX_TARGETS:
        raise errors.BadUsage(
            f"The command `pod logs` shows at most {container_logs.MAX_TARGETS} containers,"
            f" but {len(refs)} are selected.",
            hint="Show the logs of single containers: logs NAME",
        )
    return container_logs.plan(context, "pod logs", refs)


command = Command(
    name="pod logs",
    summary="show the newest log lines of all containers of pods",
    examples=("pod logs shop", "pod logs shop --since 10m -t"),
    plan=plan,
    render=container_logs.render,
    verbs=(ReadLogs.verb,),
    shows=container_logs.SHOWS,
    args=(
        Arg(name="target", type=ArgType.TARGET, many=True, required=True, help=TARGET),
        *container_logs.OPTIONS,
        LABEL,
        HOST,
        ENGINE_OF_KIND["podman"],
    ),
)
