"""`pod create`: creates an empty pod on Podman."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, new_resources
from commands.spec import ONE_HOST, Arg, Command, Context, one_engine_option
from core import errors
from core.model.actions import Action, Risk
from core.model.pods import CreatePod
from core.text import command_line


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    if args["pod"] and args["name"]:
        raise errors.BadUsage(
            f"Two names are given for the pod: {command_line.abbreviate(args['pod'])} and"
            f" {command_line.abbreviate(args['name'])}.",
            hint="Write its name once: pod create front",
        )
    name = args["pod"] or args["name"]
    if not name:
        raise errors.BadUsage("The pod needs a name.", hint="Write it, such as: pod create front")
    return [
        CreatePod(
            engine=new_resources.choose_engine(context, CreatePod.verb, "create pods"),
            name=name,
            ports=args["publish"],
            labels=new_resources.labels(args["label"]),
            network=args["network"] or "",
            infra=args["infra"] == "true",
        )
    ]


command = Command(
    name="pod create",
    summary="create an empty pod",
    examples=("pod create front --engine podman", "pod create --name front -p 8080:80 --label team=a --engine podman"),
    plan=plan,
    render=changes.make_render(changes.Wording(done="created", advice=changes.PORT_ADVICE)),
    risk=Risk.CHANGE,
    doing="creating",
    verbs=(CreatePod.verb,),
    args=(
        Arg(name="pod", placeholder="NAME", help="name of the pod; needed here or with --name"),
        Arg(name="--name", short="n", help="the same as NAME"),
        Arg(name="--publish", short="p", many=True, placeholder="[IP:][PORT:]PORT", help="publish a port on the host"),
        Arg(name="--label", short="l", many=True, placeholder="NAME=VALUE", help="set a label"),
        Arg(name="--network", help="network of the pod; none: no network"),
        Arg(
            name="--infra",
            choices=("true", "false"),
            default="true",
            placeholder="true|false",
            help="true: create an infra container, which holds the pod's network; false: create no infra container, so"
            " the pod cannot publish ports",
        ),
        ONE_HOST,
        one_engine_option("podman/1001"),
    ),
)
