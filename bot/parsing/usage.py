"""How a command is shown to people: usage, arguments as typed, values that would be understood. Shared by the grammar's
complaints and by the help pages, so that both say the same."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from commands.spec import Arg, ArgType, Command
from core.model import builtin

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def usage(command: Command) -> str:
    """`logs [options] TARGET…`."""
    parts = [command.name]
    if any(arg.option for arg in command.args):
        parts.append("[options]")
    for arg in command.args:
        if not arg.option:
            shown = placeholder(arg) + ("…" if arg.many or arg.remainder else "")
            parts.append(shown if arg.required else f"[{shown}]")
    return " ".join(parts)


def describe(command: Command) -> builtin.CommandHelp:
    """A command as the help page shows it."""
    return builtin.CommandHelp(
        name=command.name,
        summary=command.summary,
        usage=usage(command),
        risk=str(command.risk),
        verbs=tuple(command.verbs),
        aliases=tuple(command.aliases),
        args=tuple((as_typed(arg), _meaning(arg)) for arg in command.args),
        examples=tuple(command.examples),
    )


def options(command: Command) -> dict[str, Arg]:
    """Every spelling of every option."""
    by_name: dict[str, Arg] = {}
    for arg in command.args:
        if arg.option:
            by_name |= dict.fromkeys((arg.name, *arg.hidden_names), arg)
            if arg.short:
                by_name[f"-{arg.short}"] = arg
    return by_name


def positionals(command: Command) -> list[Arg]:
    return [arg for arg in command.args if not arg.option]


def closest(word: str, candidates: Sequence[str] | Mapping[str, Any]) -> str:
    return " or ".join(difflib.get_close_matches(word, list(candidates), n=2, cutoff=0.6))


def placeholder(arg: Arg) -> str:
    if not arg.option:
        return arg.key.replace("_", "-").upper()
    if arg.choices:
        return arg.key.upper()
    return {ArgType.COUNT: "COUNT", ArgType.SECONDS: "SECONDS", ArgType.DURATION: "TIME"}.get(arg.type, arg.key.upper())


def as_typed(arg: Arg) -> str:
    if not arg.option:
        return placeholder(arg)
    names = f"-{arg.short}, {arg.name}" if arg.short else arg.name
    return names if arg.type is ArgType.FLAG else f"{names} {placeholder(arg)}"


def sample(arg: Arg) -> str:
    """A value that would be understood, for a cure."""
    if arg.choices:
        return arg.choices[0]
    return {ArgType.COUNT: "50", ArgType.SECONDS: "10", ArgType.DURATION: "10m"}.get(arg.type, placeholder(arg))


def _meaning(arg: Arg) -> str:
    parts = [arg.help]
    if arg.choices:
        parts.append(f"({', '.join(arg.choices)})")
    if arg.default not in (None, False, (), ""):
        parts.append(f"(default {_shown(arg.default)})")
    if arg.option and arg.many:
        parts.append("(repeatable)")
    return " ".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        unit = next(unit for unit in ("d", "h", "m", "s") if seconds % UNITS[unit] == 0)
        return f"{seconds // UNITS[unit]}{unit}"
    return str(value)
