"""`scale`: how many of a service run. Names and numbers in, as `web=3` or `web 3`; one action for each service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from commands._shared import changes
from commands.spec import SELECTION, Arg, Command, Context, Take
from core import errors
from core.model.actions import Action, Risk, Scale
from core.model.refs import Kind, Ref
from core.ports import Query
from core.text import command_line

MOST_REPLICAS = 1_000
MOST_SERVICES = 20
TIMEOUT, LONGEST_TIMEOUT = 120, 600  # seconds
EXAMPLE = "For example: scale shop/web=3, or scale shop/web 3"
SAID = changes.Said(command="scale", done="scaled", already="", undone="not scaled as asked")


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    wanted: dict[Ref, int] = {}
    said = list(_pairs(args["service"]))
    if len(said) > MOST_SERVICES:
        raise _too_many(len(said))
    for name, number in said:
        query = Query(names=(name,), host=args["host"] or "", engine=args["engine"] or "", kind=Kind.SERVICE)
        for ref in await context.find.find(query):
            if wanted.setdefault(ref, number) != number:
                raise errors.BadUsage(f"{ref.name} is given two numbers, {wanted[ref]} and {number}.", hint=EXAMPLE)
    if len(wanted) > MOST_SERVICES:
        raise _too_many(len(wanted))
    return [
        Scale(engine=ref.engine, target=ref, replicas=number, timeout=args["timeout"]) for ref, number in wanted.items()
    ]


def _too_many(number: int) -> errors.BadUsage:
    return errors.BadUsage(
        f"That is {number} services; scale takes at most {MOST_SERVICES} at once.", hint="Name fewer of them."
    )


def _pairs(said: Sequence[str]) -> Iterator[tuple[str, int]]:
    queue = list(said)
    while queue:
        word = queue.pop(0)
        name, equals, text = word.rpartition("=")
        if not equals:
            name = word
            if not queue:
                raise errors.BadUsage(f"scale {command_line.abbreviate(name)} to how many?", hint=EXAMPLE)
            text = queue.pop(0)
        if not name.strip("*?/"):
            raise errors.BadUsage(f"“{command_line.abbreviate(word)}” names no service.", hint=EXAMPLE)
        yield name, _number(name, text)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= MOST_REPLICAS):
        raise errors.BadUsage(
            f"{command_line.abbreviate(name)} cannot be scaled to “{command_line.abbreviate(text)}”.",
            hint=f"It takes a whole number from 0 to {MOST_REPLICAS:,}. {EXAMPLE}",
        )
    return int(text)


command = Command(
    name="scale",
    summary="change how many of a service run",
    examples=("scale shop/front=3", "scale shop/front 6 --timeout 300", "scale front=0"),
    plan=plan,
    render=changes.rendering(SAID),
    risk=Risk.CHANGE,
    doing="scaling",
    verbs=(Scale.verb,),
    args=(
        Arg(
            name="service",
            take=Take.TARGET,
            many=True,
            required=True,
            help="a service of compose or a Swarm and how many of it: shop/web=3, or shop/web 3",
        ),
        Arg(
            name="--timeout",
            short="t",
            take=Take.SECONDS,
            default=TIMEOUT,
            top=LONGEST_TIMEOUT,
            help="how long it may take until all of them run",
        ),
        *(arg for arg in SELECTION if arg.name != "--label"),
    ),
    timeout=timedelta(seconds=LONGEST_TIMEOUT + 60),
)
