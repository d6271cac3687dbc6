"""Defines the types of a command: its arguments, a function that plans actions, and one that renders their results.

A command never holds an engine, a chat client or the store, so no command can bypass permissions, rate limits or the
audit. `plan` may only look up resources with the Finder of its Context; `render` has no side effects. Each command
module exports one value, `command`, and the catalogue finds it.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.errors import QuarterdeckError
from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk
from core.model.invocation import Identity, Place
from core.model.replies import Block, Reply
from core.model.verification import RunVerdict
from core.ports import Finder, Query


class ArgType(enum.StrEnum):
    """Lists the types of an argument's value.

    COUNT: a whole number from 1, or `all` (its maximum). SECONDS: a whole number from 0. DURATION: `90s`, `10m`,
    `1h30m` or `1d`, as a timedelta. MOMENT: a DURATION ago, `14:05` or `2026-11-29T14:05` in the time zone of whoever
    types it, as a TypedTime. TARGET: the name of a resource. COMMAND: a command's name or alias, as its name.
    """

    FLAG = "flag"
    TEXT = "text"
    COUNT = "count"
    SECONDS = "seconds"
    DURATION = "duration"
    MOMENT = "moment"
    TARGET = "target"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    """Describes one argument. A `name` with dashes (`--tail`) is an option, `short` its letter; other names are
    positional.

    `many`: an option may be repeated, a positional takes all remaining arguments; the value is a tuple. `choices`: the
    only values allowed. `remainder`: a positional that takes everything after it, options included. `maximum` limits
    COUNT and SECONDS. `hidden_names`: other names of an option, which help does not show, such as Docker's `--time`.
    `placeholder`: the name of the value in help, by default made from `name` and `type`.
    """

    name: str
    help: str
    type: ArgType = ArgType.TEXT
    short: str = ""
    default: Any = None
    many: bool = False
    required: bool = False
    remainder: bool = False
    choices: Sequence[str] = ()
    maximum: int = 0
    hidden_names: Sequence[str] = ()
    placeholder: str = ""

    @property
    def key(self) -> str:
        """The key of the value in `Context.args`: `--no-trunc` → `no_trunc`."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def option(self) -> bool:
        return self.name.startswith("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Holds everything that a command receives. `args` has the key of every Arg; its default if nothing was typed."""

    who: Identity
    place: Place
    args: Mapping[str, Any]
    find: Finder
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Holds the result of one action of the plan: a value or an error. The rows of a list are already filtered by
    permission. `runs`: what became of the containers that the change started, if that was watched."""

    action: Action[Any]
    value: Any = None
    error: QuarterdeckError | None = None
    runs: Sequence[RunVerdict] = ()


SHARE = Arg(
    name="--share",
    type=ArgType.FLAG,
    help="in Slack: show the reply to everybody in this channel (default: only to you)",
)
Plan = Callable[[Context], Awaitable[Sequence[Action[Any]]]]
Render = Callable[[Context, Sequence[Result]], Reply]
Preview = Callable[[Context, Sequence[Action[Any]]], Sequence[Block]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Describes one command.

    `risk`: the highest risk that its plan may contain; rate limits apply before the plan is made. `verbs`: every verb
    that its plan may contain; `verb_conditions`: pairs of a condition (`with --force`) and the verb that is
    needed then instead. `doing`: the present participle of a change (`restarting`), shown while it runs.
    `shows`: the types of the values that its replies show, where the results of its verbs do not say that;
    `json_version`: the version of its records in JSON, raised when a field is removed or changes its meaning.
    `preview`: returns what the question before a change shows of it, instead of the names of its targets. `starts`:
    the change starts its targets, so what became of them is watched after it.
    `optional`: further verbs, whose actions are left out where they are refused, need a question or are late; the
    results of `render` then have an error for them. `examples`: whole lines; a test runs each of them. The reply of a
    command that only reads goes to the requester alone, so every such command also takes SHARE, unless it works only
    at a console (`console_only`). The help of ENGINE names an engine that fits the verbs.
    """

    name: str
    summary: str
    examples: Sequence[str]
    plan: Plan
    render: Render
    risk: Risk = Risk.READ
    verbs: Sequence[str] = ()
    verb_conditions: Sequence[tuple[str, str]] = ()
    optional: Sequence[str] = ()
    aliases: Sequence[str] = ()
    args: Sequence[Arg] = ()
    doing: str = ""
    preview: Preview | None = None
    shows: Sequence[type] = ()
    json_version: int = 1
    starts: bool = False
    console_only: bool = False

    def __post_init__(self) -> None:
        share = () if self.risk is not Risk.READ or self.console_only or SHARE in self.args else (SHARE,)
        kinds = {
            "" if verb in _OF_SEVERAL_KINDS else _KIND_OF_VERB.get(verb.partition(".")[0], "") for verb in self.verbs
        }
        engine = ENGINE_OF_KIND.get(kinds.pop(), ENGINE) if len(kinds) == 1 else ENGINE
        object.__setattr__(self, "args", (*(engine if arg == ENGINE else arg for arg in self.args), *share))


CONTAINER_NAMES = "container, start of its name or id, project, service (shop/web), or a glob like 'web-*'"
# Without a name, a command that only lists takes all containers; any other needs an option that selects some.
OPTIONAL_TARGETS = Arg(name="target", type=ArgType.TARGET, many=True, help=f"{CONTAINER_NAMES}; without TARGET: all")
TARGETS = replace(OPTIONAL_TARGETS, help=f"{CONTAINER_NAMES}; can be left out with --label, --host or --engine")
ONE_CONTAINER = Arg(
    name="target",
    type=ArgType.TARGET,
    required=True,
    placeholder="CONTAINER",
    help="name of one container, or the start of its name or id",
)
LABEL = Arg(
    name="--label",
    short="l",
    many=True,
    placeholder="KEY[=VALUE]",
    help="only resources with this label, such as app=shop (globs allowed)",
)
HOST = Arg(name="--host", help="only on engines of this host, such as prod-1 or 'prod-*'")


def one_engine_option(example: str) -> Arg:
    """Returns the option `--engine` of a command that creates something on one engine."""
    return Arg(
        name="--engine", help=f"use this engine, such as {example}; needed if several engines can run this command"
    )


def _engine_option(example: str) -> Arg:
    kind = example.partition("/")[0]
    return Arg(
        name="--engine", help=f"only on this engine or kind of engine, such as {example} or {kind} (globs allowed)"
    )


ENGINE = _engine_option("docker/prod-1")
# Of a command that only one kind of engine supports, or mainly that kind.
ENGINE_OF_KIND = {
    "podman": _engine_option("podman/1001"),
    "swarm": _engine_option("swarm/prod-1"),
    "containerd": _engine_option("containerd/prod-1"),
}
# By the first word of a verb, but for verbs that the services of Compose projects on Docker have too.
_OF_SEVERAL_KINDS = frozenset({"service.list", "service.scale"})
_KIND_OF_VERB = {
    **dict.fromkeys(("pod", "unit"), "podman"),
    **dict.fromkeys(("config", "node", "secret", "service", "stack", "task"), "swarm"),
    "namespace": "containerd",
}
SELECTION = (LABEL, HOST, ENGINE)
# Of a command that does not act on several engines unless they are chosen.
CHOSEN_ENGINE = replace(
    ENGINE, help=f"{ENGINE.help}; needed if several engines can run this command and --host is not given"
)
# Of a command that creates something on one engine.
ONE_HOST = Arg(name="--host", help="use the engine of this host, such as prod-1 (globs allowed)")
ONE_ENGINE = one_engine_option("docker/prod-1")


def timeout_option(default: int, maximum: int, text: str, *, short: str = "") -> Arg:
    """Returns the option `--timeout` of a command. `default` and `maximum`: seconds. `text`: what may take so long."""
    return Arg(name="--timeout", short=short, type=ArgType.SECONDS, default=default, maximum=maximum, help=text)


def query(context: Context, key: str = "target") -> Query:
    """Returns the Query that the TARGETS and SELECTION arguments describe."""
    args = context.args
    names = args.get(key) or ()
    return Query(
        names=(names,) if isinstance(names, str) else tuple(names),
        labels=tuple(args.get("label") or ()),
        host=args.get("host") or "",
        engine=args.get("engine") or "",
    )
