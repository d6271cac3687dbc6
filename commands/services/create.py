"""`service create IMAGE`: creates a Swarm service, and waits until its tasks run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, service_arguments, service_options, service_values, swarms
from commands.spec import Arg, Command, Context
from core.model import image_names
from core.model.actions import Action, Risk
from core.model.service_actions import CREATE_SECONDS, CreateService
from core.model.service_settings import MODES

# A service whose tasks do not run was created all the same.
WORDING = changes.Wording(done="created", not_done="not created as asked")


async def plan(context: Context) -> Sequence[Action[Any]]:
    args, engine = context.args, swarms.choose_swarm(context, CreateService.verb)
    return [
        CreateService(
            engine=engine,
            image=image_names.with_default_tag(args["image"]),
            name=args["name"] or "",
            settings=await service_arguments.parse_service_settings(context, engine, image="", command=args["command"]),
            mode=args["mode"],
            replicas=service_values.whole("--replicas", args["replicas"]),
            wait=not args["detach"],
            timeout=args["timeout"],
        )
    ]


command = Command(
    name="service create",
    summary="create a Swarm service",
    examples=(
        "service create --name front -p 8080:80 --replicas 2 nginx:1.27",
        "service create --name batch --mode global --limit-memory 64m busybox sleep 3600",
    ),
    plan=plan,
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="creating",
    verbs=(CreateService.verb,),
    args=(
        Arg(name="image", required=True, help="repository, repository:tag (default tag: latest) or repository@digest"),
        Arg(name="command", remainder=True, help="program to run instead of the image's own, with its arguments"),
        Arg(name="--name", help="name of the service (default: the Swarm chooses one)"),
        Arg(
            name="--mode",
            choices=MODES,
            default="replicated",
            help="replicated: as many tasks as --replicas; global: one task on each node; replicated-job: like"
            " replicated, but each task runs once; global-job: like global, but each task runs once",
        ),
        Arg(name="--replicas", placeholder="COUNT", help="number of tasks (default 1)"),
        *service_options.CREATE_LISTS,
        *service_options.COMMON,
        service_options.make_timeout_option(CREATE_SECONDS),
        swarms.ONE_HOST,
        swarms.ONE_ENGINE,
    ),
)
