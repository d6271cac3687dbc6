"""`kill`: sends a signal to containers, KILL by default."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from commands._shared import changes
from commands.spec import Arg, Command, Context, Result
from core import errors
from core.model import signal_names as signals
from core.model.actions import Action, Kill, Risk
from core.model.refs import Ref
from core.model.replies import Reply
from core.model.results import Outcome
from core.text import command_line

MAX_SIGNAL = 64
_REALTIME = re.compile(r"RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?")


def normalized_signal(text: str) -> str:
    """Returns the signal's name as engines accept it, such as `KILL` or `RTMIN+3`, or its number if it has no name.
    Raises BadUsage for an unknown signal."""
    name = text.upper().removeprefix("SIG")
    if re.fullmatch(r"[0-9]{1,3}", name) and 1 <= int(name) <= MAX_SIGNAL:
        return signals.SIGNALS.get(int(name), str(int(name)))
    if name in signals.NAMES or _REALTIME.fullmatch(name):
        return name
    close = difflib.get_close_matches(name, signals.SIGNALS.values(), n=2)
    hint = (
        f"Did you mean {' or '.join(close)}?"
        if close
        else f"Write a name, such as TERM, or a number from 1 to {MAX_SIGNAL}."
    )
    raise errors.BadUsage(f"There is no signal “{command_line.abbreviate(text)}”.", hint=hint)


def _action(context: Context, ref: Ref) -> Action[Outcome]:
    return Kill(engine=ref.engine, target=ref, signal=normalized_signal(context.args["signal"]))


def render(context: Context, results: Sequence[Result]) -> Reply:
    name = normalized_signal(context.args["signal"])
    done = "killed" if name == "KILL" else f"sent {name}"
    return changes.render_outcomes(changes.Wording(done=done, unchanged="was not running"), results, context)


command = Command(
    name="kill",
    summary="send a signal to containers",
    examples=("kill web", "kill web --signal HUP", "kill -s 15 'batch-*'"),
    plan=changes.make_plan("kill", _action),
    render=render,
    risk=Risk.CHANGE,
    doing="killing",
    verbs=(Kill.verb,),
    args=(
        *changes.TARGET_ARGS,
        Arg(name="--signal", short="s", default="KILL", help="signal name such as TERM or HUP, or its number"),
    ),
)
