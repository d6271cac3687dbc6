"""Describes how a command is used: its usage line, its arguments as typed, and example values.

The parser's errors and the help pages share these texts, so that both describe a command in the same way.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from commands.spec import Arg, ArgType, Command
from core.model import bot_actions

PLACEHOLDERS = {
    ArgType.COUNT: "COUNT",
    ArgType.SECONDS: "SECONDS",
    ArgType.DURATION: "DURATION",
    ArgType.MOMENT: "TIME",
}
EXAMPLE_VALUES = {ArgType.COUNT: "50", ArgType.SECONDS: "10", ArgType.DURATION: "10m", ArgType.MOMENT: "10m"}
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def format_usage_line(command: Command) -> str:
    """Returns the usage line of a command, for example `logs [options] TARGET…`."""
    parts = [command.name]
    if any(arg.option for arg in command.args):
        parts.append("[options]")
    for arg in command.args:
        if not arg.option:
            shown = placeholder(arg) + ("…" if arg.many or arg.remainder else "")
            parts.append(shown if arg.required else f"[{shown}]")
    return " ".join(parts)


def command_help(command: Command) -> bot_actions.HelpEntry:
    """A command as the help page shows it."""
    return bot_actions.HelpEntry(
        name=command.name,
        summary=command.summary,
        usage=format_usage_line(command),
        risk=str(command.risk),
        verbs=tuple(command.verbs),
        aliases=tuple(command.aliases),
        args=tuple((spelling(arg), _arg_help(arg)) for arg in command.args),
        examples=tuple(command.examples),
        verb_conditions=tuple(command.verb_conditions),
    )


def options_by_name(command: Command) -> dict[str, Arg]:
    """The options by each of their names: long, short and alternative."""
    by_name: dict[str, Arg] = {}
    for arg in command.args:
        if arg.option:
            by_name |= dict.fromkeys((arg.name, *arg.hidden_names), arg)
            if arg.short:
                by_name[f"-{arg.short}"] = arg
    return by_name


def positionals(command: Command) -> list[Arg]:
    return [arg for arg in command.args if not arg.option]


def suggestions(word: str, candidates: Sequence[str] | Mapping[str, Any]) -> str:
    """Returns the candidates most like the word, for “Did you mean …?”; empty if no candidate is close."""
    return " or ".join(difflib.get_close_matches(word, list(candidates), n=2, cutoff=0.6))


def placeholder(arg: Arg) -> str:
    """The name of the value in a usage line, such as `TARGET` or `COUNT`."""
    if arg.placeholder:
        return arg.placeholder
    if not arg.option and len(arg.choices) == 1:
        return arg.choices[0]
    if not arg.option:
        return arg.key.replace("_", "-").upper()
    if arg.choices:
        return arg.key.upper()
    return PLACEHOLDERS.get(arg.type, arg.key.upper())


def spelling(arg: Arg) -> str:
    """The argument as typed, such as `-n, --tail COUNT`."""
    if not arg.option:
        return placeholder(arg)
    names = f"-{arg.short}, {arg.name}" if arg.short else arg.name
    return names if arg.type is ArgType.FLAG else f"{names} {placeholder(arg)}"


def example_value(arg: Arg) -> str:
    """A valid value, for a hint."""
    if arg.choices:
        return arg.choices[0]
    return EXAMPLE_VALUES.get(arg.type, placeholder(arg))


def _arg_help(arg: Arg) -> str:
    parts = [arg.help]
    if arg.choices and placeholder(arg) not in arg.choices and not all(f"{one}:" in arg.help for one in arg.choices):
        parts.append(f"({', '.join(arg.choices)})")
    unit = " seconds" if arg.type is ArgType.SECONDS else ""
    limits = []
    if arg.default not in (None, False, (), ""):
        limits.append(f"default {_format_default(arg.default)}{unit}")
    if arg.maximum and "at most" not in arg.help:
        limits.append(f"at most {arg.maximum:,}{'' if limits else unit}")
    if limits:
        parts.append(f"({', '.join(limits)})")
    if arg.option and arg.many:
        parts.append("(repeatable)")
    return " ".join(parts)


def _format_default(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        unit = next(unit for unit in ("d", "h", "m", "s") if seconds % UNIT_SECONDS[unit] == 0)
        return f"{seconds // UNIT_SECONDS[unit]}{unit}"
    return f"{value:,}" if isinstance(value, int) else str(value)
