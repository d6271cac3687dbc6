"""`service update NAME`: changes a Swarm service, and waits until its tasks run the new version; `--rollback` goes back
to the version before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import changes, service_arguments, service_options, service_values, swarms
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context
from core import errors
from core.model.actions import Action, Risk
from core.model.service_actions import UPDATE_SECONDS, RollBackService, UpdateService

WORDING = changes.Wording(done="updated", not_done="not updated as asked")
_EXAMPLE = "For example: service update --image nginx:1.28 shop_front"


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    (target,) = await swarms.select_services(context, "service update", UpdateService.verb, 1)
    wait, timeout = not args["detach"], args["timeout"]
    settings = await service_arguments.parse_service_settings(
        context,
        target.engine,
        image=args["image"] or "",
        command=service_arguments.words("--args", args["args"]),
    )
    update = UpdateService(
        engine=target.engine,
        target=target,
        settings=settings,
        removals=service_arguments.removals(context),
        replicas=service_values.whole("--replicas", args["replicas"]),
        force=args["force"],
        wait=wait,
        timeout=timeout,
    )
    nothing = update == UpdateService(engine=target.engine, target=target, wait=wait, timeout=timeout)
    if args["rollback"]:
        if not nothing:
            raise errors.BadUsage(
                "--rollback cannot be combined with another change.",
                hint="Leave out --rollback, or all other changes.",
            )
        return [RollBackService(engine=target.engine, target=target, wait=wait, timeout=timeout)]
    if nothing:
        raise errors.BadUsage("The command `service update` needs something to change.", hint=_EXAMPLE)
    return [update]


command = Command(
    name="service update",
    summary="change a Swarm service: its image, settings or number of tasks",
    examples=(
        "service update --image nginx:1.28 shop_front",
        "service update --env-add MODE=test --env-rm DEBUG --limit-memory 128m shop_front",
        "service update --force shop_front",
    ),
    plan=plan,
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="updating",
    verbs=(UpdateService.verb, RollBackService.verb),
    verb_conditions=(("with --rollback", RollBackService.verb),),
    args=(
        replace(
            swarms.SERVICES,
            many=False,
            help="one Swarm service (shop_web, web); if it can access its hosts, or has secrets or configs, a change of"
            " its program also needs the permission host.reach, secret.use or config.use",
        ),
        Arg(name="--image", help="new image: repository, repository:tag or repository@digest"),
        Arg(name="--args", placeholder="ARGUMENTS", help="arguments of the image's program, as one quoted word"),
        Arg(name="--replicas", placeholder="COUNT", help="number of tasks"),
        Arg(name="--force", type=ArgType.FLAG, help="replace the tasks even if nothing changes"),
        Arg(name="--rollback", type=ArgType.FLAG, help="return to the version before the last update"),
        *service_options.UPDATE_LISTS,
        *service_options.COMMON,
        service_options.make_timeout_option(UPDATE_SECONDS),
        HOST,
        ENGINE,
    ),
)
