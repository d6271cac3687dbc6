"""What a command is: words in, a plan of actions out; results in, a reply out.

A command never holds an engine, a chat client or the store, so none can skip permission, limit or audit. `plan` may
only ask its Finder; `render` is pure. A module of this package exports one value, `command`; the package is scanned.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.errors import QuarterdeckError
from core.model.actions import Action, Risk
from core.model.identity import Identity, Place
from core.model.replies import Reply
from core.ports import Finder, Query


class Take(enum.StrEnum):
    """What an argument's word is read as. COUNT: 1 or more, or `all` (its `top`); SECONDS: 0 or more; DURATION: `90s`,
    `10m`, `1h30m`, `1d` → timedelta; COMMAND: a command's name or alias → its name."""

    FLAG = "flag"
    WORD = "word"
    COUNT = "count"
    SECONDS = "seconds"
    DURATION = "duration"
    TARGET = "target"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    """One argument. A `name` with dashes (`--tail`) is an option, `short` its one letter; otherwise it is positional.

    `many`: repeatable (options) or takes all remaining words (positionals): the value is then a tuple. `choices` limits
    the words. `rest`: a positional that swallows everything after it, flags included. `top` bounds COUNT and SECONDS.
    `also`: other names of an option that hands know from elsewhere (`--time`); understood, not shown.
    """

    name: str
    help: str
    take: Take = Take.WORD
    short: str = ""
    default: Any = None
    many: bool = False
    required: bool = False
    rest: bool = False
    choices: Sequence[str] = ()
    top: int = 0
    also: Sequence[str] = ()

    @property
    def key(self) -> str:
        """The name under which `Context.args` holds the value: `--no-trunc` → `no_trunc`."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def option(self) -> bool:
        return self.name.startswith("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All a command may know. `args` holds every Arg's key, defaults filled in."""

    who: Identity
    place: Place
    args: Mapping[str, Any]
    find: Finder
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one action of the plan came to: a value, or the error that stood in its way. Rows are already filtered."""

    action: Action[Any]
    value: Any = None
    error: QuarterdeckError | None = None


SHARE = Arg(name="--share", take=Take.FLAG, help="show the answer to everybody in this channel")
Plan = Callable[[Context], Awaitable[Sequence[Action[Any]]]]
Render = Callable[[Context, Sequence[Result]], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One word people say. `risk` is the greatest risk its plan may hold (limits are spent before the plan is known).
    `doing` is what a change is called while it runs (`restarting`). `examples` are whole lines; a test runs each. What
    only reads answers the asker alone, so it also takes SHARE."""

    name: str
    summary: str
    examples: Sequence[str]
    plan: Plan
    render: Render
    risk: Risk = Risk.READ
    verbs: Sequence[str] = ()
    aliases: Sequence[str] = ()
    args: Sequence[Arg] = ()
    doing: str = ""
    timeout: timedelta = timedelta(seconds=60)

    def __post_init__(self) -> None:
        if self.risk is Risk.READ and SHARE not in self.args:
            object.__setattr__(self, "args", (*self.args, SHARE))


TARGETS = Arg(
    name="target",
    take=Take.TARGET,
    many=True,
    help="name, unique prefix, id prefix, project, service (shop/web) or a glob like 'web-*'",
)
SELECTION = (
    Arg(name="--label", short="l", many=True, help="only containers with this label: key or key=value (globs allowed)"),
    Arg(name="--host", help="only on hosts of this name (globs allowed)"),
    Arg(name="--engine", help="only on engines of this kind or name, such as docker"),
)


def query(context: Context, key: str = "target") -> Query:
    """The Query that TARGETS and SELECTION arguments describe."""
    args = context.args
    names = args.get(key) or ()
    return Query(
        names=(names,) if isinstance(names, str) else tuple(names),
        labels=tuple(args.get("label") or ()),
        host=args.get("host") or "",
        engine=args.get("engine") or "",
    )
