"""`scale`: changes the number of replicas of services, given as `web=3` or `web 3`; one action for each service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from commands._shared import changes
from commands.spec import ENGINE, HOST, Arg, ArgType, Command, Context, timeout_option
from core import errors
from core.model.actions import Action, Risk, Scale
from core.model.refs import Kind, Ref
from core.ports import Query
from core.text import command_line

MAX_REPLICAS = 1_000
MAX_SERVICES = 20
DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 120, 600
EXAMPLE = "For example: scale shop/web=3, or scale shop/web 3"
WORDING = changes.Wording(done="scaled", unchanged="", not_done="not scaled as asked")


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    wanted: dict[Ref, int] = {}
    typed = list(_pairs(args["service"]))
    if len(typed) > MAX_SERVICES:
        raise _too_many(len(typed))
    for name, number in typed:
        query = Query(names=(name,), host=args["host"] or "", engine=args["engine"] or "", kind=Kind.SERVICE)
        for ref in await context.find.find(query):
            if wanted.setdefault(ref, number) != number:
                raise errors.BadUsage(
                    f"The command gives {ref.name} two numbers of replicas, {wanted[ref]} and {number}.",
                    hint="Write each service once. A pattern such as web* may match a service that you also name.",
                )
    if len(wanted) > MAX_SERVICES:
        raise _too_many(len(wanted))
    return [
        Scale(engine=ref.engine, target=ref, replicas=number, timeout=args["timeout"]) for ref, number in wanted.items()
    ]


def _too_many(number: int) -> errors.BadUsage:
    return errors.BadUsage(
        f"The command `scale` takes at most {MAX_SERVICES} services at once, but {number} are selected.",
        hint="Select fewer services, for example by name.",
    )


def _pairs(typed: Sequence[str]) -> Iterator[tuple[str, int]]:
    queue = list(typed)
    while queue:
        argument = queue.pop(0)
        name, equals, text = argument.rpartition("=")
        if not equals:
            name = argument
            if not queue:
                raise errors.BadUsage(
                    f"The number of replicas of {command_line.abbreviate(name)} is missing.", hint=EXAMPLE
                )
            text = queue.pop(0)
        if not name.strip("*?/"):
            raise errors.BadUsage(
                f"“{command_line.abbreviate(argument)}” needs the name of a service before the number of replicas.",
                hint=EXAMPLE,
            )
        yield name, _number(name, text)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= MAX_REPLICAS):
        raise errors.BadUsage(
            f"{command_line.abbreviate(name)} cannot be scaled to “{command_line.abbreviate(text)}”.",
            hint=f"Give a whole number from 0 to {MAX_REPLICAS:,}. {EXAMPLE}",
        )
    return int(text)


command = Command(
    name="scale",
    summary="change the number of replicas of services",
    examples=("scale shop/front=3", "scale shop/front 6 --timeout 300", "scale front=0"),
    plan=plan,
    render=changes.make_render(WORDING),
    risk=Risk.CHANGE,
    doing="scaling",
    starts=True,
    verbs=(Scale.verb,),
    args=(
        Arg(
            name="service",
            type=ArgType.TARGET,
            many=True,
            required=True,
            help="Compose or Swarm service with its new number of replicas: shop/web=3 or shop/web 3",
        ),
        timeout_option(DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, "time to wait until all replicas run", short="t"),
        HOST,
        ENGINE,
    ),
)
