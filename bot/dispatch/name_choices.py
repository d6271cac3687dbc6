"""Adds buttons to an error reply: one for each resource that an ambiguous name matches, or one for each matching
engine.

A button repeats the typed line with the full name, or with the engine added. If the command accepts several names or
engines, one more button selects all of them. If the line cannot be rewritten safely, there is no button.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.dispatch import reply_formatting
from bot.parsing import parser
from commands.spec import ENGINE, Arg
from core import errors
from core.model.replies import Button, Reply
from core.text import command_line

MAX_CHOICES = 12  # resources
MAX_LABEL = 75  # characters


def reply_with_choices(error: errors.QuarterdeckError, line: str, catalogue: Any) -> Reply:
    """Returns the reply to an error of this line."""
    reply = reply_formatting.make_error_reply(error)
    try:
        if isinstance(error, errors.SeveralEngines):
            return replace(reply, buttons=_engine_buttons(error, parser.parse(line, catalogue), catalogue))
        if isinstance(error, errors.Ambiguous):
            return replace(reply, buttons=_buttons(error, parser.parse(line, catalogue), catalogue))
        return reply
    except errors.UserError:  # the line was not the one that was parsed
        return reply


def _buttons(error: errors.Ambiguous, parsed: parser.Parsed, catalogue: Any) -> tuple[Button, ...]:
    arg = next((one for one in parsed.command.args if _holds(parsed.args.get(one.key), error.name)), None)
    if arg is None or len(error.candidates) > MAX_CHOICES:
        return ()
    choices = [(name, [name]) for name in error.candidates]
    if arg.many and not arg.option:
        count = len(error.candidates)
        label = "both" if count == 2 else f"all {count}"
        choices.append((f"{label}: {error.group}" if error.group else label, list(error.candidates)))
    return tuple(
        Button(label=label[:MAX_LABEL], line=line, offered=True)
        for label, names in choices
        if (line := _with_names(parsed, arg, error.name, names, catalogue))
    )


def _engine_buttons(error: errors.SeveralEngines, parsed: parser.Parsed, catalogue: Any) -> tuple[Button, ...]:
    if len(error.engines) > MAX_CHOICES:
        return ()
    choices = [(name, name) for name in error.engines]
    if error.everywhere:
        choices.append(("both" if len(choices) == 2 else f"all {len(choices)}", "*"))
    return tuple(
        Button(label=label[:MAX_LABEL], line=line, offered=True)
        for label, engine in choices
        if (line := _with_engine(parsed, engine, catalogue))
    )


def _with_engine(parsed: parser.Parsed, engine: str, catalogue: Any) -> str:
    """Returns the line for this engine; empty if no such line means the same otherwise."""
    words, length = command_line.split_command_line(parsed.line), len(parsed.command.name.split())
    given = next((at for at in range(length, len(words)) if words[at] == ENGINE.name), None)
    if parsed.args[ENGINE.key] and given is not None:
        words = [*words[:given], *words[given + 2 :]]
    try:
        found = parser.parse(command_line.quote([*words[:length], ENGINE.name, engine, *words[length:]]), catalogue)
    except errors.UserError:
        return ""
    same = found.command is parsed.command and found.args == {**parsed.args, ENGINE.key: engine}
    return found.line if same else ""


def _holds(value: Any, name: str) -> bool:
    return value == name if isinstance(value, str) else isinstance(value, tuple) and name in value


def _with_names(parsed: parser.Parsed, arg: Arg, typed: str, names: Sequence[str], catalogue: Any) -> str:
    """Returns the line with `names` instead of the typed name; empty if no such line means the same otherwise."""
    before = parsed.args[arg.key]
    after: Any = names[0]
    if not isinstance(before, str):
        after = tuple(dict.fromkeys(each for old in before for each in (names if old == typed else [old])))
    wanted = {**parsed.args, arg.key: after}
    words, name = command_line.split_command_line(parsed.line), parsed.command.name.split()
    if words[: len(name)] != name:  # a name alone is typed without the command
        words = [*name, *words]
    for at in range(len(name), len(words)):
        if words[at] != typed:
            continue
        line = command_line.quote([*words[:at], *names, *words[at + 1 :]])
        try:
            found = parser.parse(line, catalogue)
        except errors.UserError:
            continue
        if found.command is parsed.command and all(wanted[key] == value for key, value in found.args.items()):
            return found.line
    return ""
