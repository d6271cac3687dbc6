"""Completes the last word of a command line: a command, an option, an option's value, or the name of a resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.parsing import foreign_lines, usage
from commands.catalogue import Catalogue
from commands.spec import Arg, ArgType
from core import errors
from core.text import command_line


def complete_last_word(text: str, catalogue: Catalogue, names: Sequence[str]) -> list[str]:
    """Returns the completions of the last word of `text`, sorted. `names`: the names that a target may have."""
    try:
        words = command_line.split_command_line(text)
        last = "" if not text or text[-1].isspace() or not words else words.pop()
        words = foreign_lines.translate_foreign_line(words, catalogue, limited=False)
    except errors.UserError:
        return []
    if not words:
        # A name alone shows its card, but an empty line does not list all names.
        return _starting([*(name.partition(" ")[0] for name in catalogue.names), *(names if last else ())], last)
    if len(words) == 1 and (verbs := catalogue.verbs_of(words[0])):
        return _starting(verbs, last)
    try:
        command, count = catalogue.match(words)
    except errors.UserError:
        return []
    words = words[count - 1 :]
    by_name = usage.options_by_name(command)
    option = by_name.get(words[-1]) if "--" not in words[1:] else None
    if option is not None and option.type is not ArgType.FLAG:
        return _values(option, last, catalogue, names)
    if last.startswith("-") and "--" not in words[1:]:
        return _starting([name for name in (*by_name, "--help") if name.startswith("--")], last)
    positionals = usage.positionals(command)
    given = sum(1 for word in words[1:] if not word.startswith("-"))
    if not positionals:
        return []
    arg = positionals[min(given, len(positionals) - 1)]
    if given >= len(positionals) and not (arg.many or arg.remainder):
        return []
    return _values(arg, last, catalogue, names)


def _values(arg: Arg, last: str, catalogue: Catalogue, names: Sequence[str]) -> list[str]:
    if arg.choices:
        return _starting(arg.choices, last)
    if arg.type is ArgType.COMMAND:
        return _starting([name.partition(" ")[0] for name in catalogue.commands], last)
    if arg.type is ArgType.TARGET:
        return [command_line.quote([name]) for name in _starting(names, last)]
    return []


def _starting(candidates: Sequence[str] | Mapping[str, Any], start: str) -> list[str]:
    return sorted({word for word in candidates if word.startswith(start)})
