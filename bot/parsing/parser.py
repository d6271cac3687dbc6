"""A line of words into a command and its arguments, and what helps in typing one: usage, completion, suggestions.

Options are never guessed from a prefix and no value may look like one: what is not understood is refused with its cure,
because half-understood words change things. `--` ends the options; only after it may a name begin with a dash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bot.parsing import usage as parsing_usage
from commands.catalogue import Catalogue
from commands.spec import Arg, ArgType, Command
from core import errors
from core.text import command_line

# What people type before a command out of habit; forgiven.
ADDRESSES = frozenset({"/deck", "/quarterdeck", "deck", "quarterdeck", "docker", "podman"})
HELP_WORDS = frozenset({"--help", "-h", "-?", "?"})
LONGEST_DURATION = timedelta(days=3_650)
MOST = 1_000_000
_NUMBER = re.compile(r"[0-9]{1,9}")
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+")
_NEGATIVE = re.compile(r"-[0-9]")

quote = command_line.quote
usage = parsing_usage.usage
describe = parsing_usage.describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """`line` is what was understood, in plain spelling: it parses back to the same command and arguments."""

    command: Command
    args: Mapping[str, Any]
    line: str


def parse(line: str, catalogue: Catalogue) -> Parsed:
    """Raises BadUsage or UnknownCommand. An empty line, and `--help` behind any command, is `help`."""
    said = command_line.split(line)
    if said and said[0].lower() in ADDRESSES and said[0].lower() not in catalogue.names:
        said = said[1:]
    if not said or said[0] in HELP_WORDS:
        said = ["help", *said[1:]]
    command = _find(said, catalogue)
    if _wants_help(command, said[1:]):
        topic = [command.name] if command.name != "help" else [word for word in said[1:] if word not in HELP_WORDS]
        said, command = ["help", *topic], catalogue.find("help")
    args = _Reading(command, catalogue).read(said[1:])
    return Parsed(command=command, args=args, line=command_line.quote([command.name, *said[1:]]))


def _find(said: Sequence[str], catalogue: Catalogue) -> Command:
    """The command a line begins with; `web restart` is told its right order."""
    word, following = said[0], said[1:]
    if word.lower() not in catalogue.names and following and following[0].lower() in catalogue.names:
        turned = command_line.quote([following[0].lower(), word, *following[1:]])
        raise errors.UnknownCommand(
            f"There is no command “{command_line.abbreviate(word)}”.", hint=f"The command comes first: {turned}"
        )
    return catalogue.find(word)


def complete(text: str, catalogue: Catalogue, names: Sequence[str]) -> list[str]:
    """What the last word of `text` may become, sorted: commands, options, `names` where a target is meant."""
    try:
        said = command_line.split(text)
    except errors.BadUsage:
        return []
    last = "" if not text or text[-1].isspace() or not said else said.pop()
    if said and said[0].lower() in ADDRESSES and said[0].lower() not in catalogue.names:
        said = said[1:]
    if not said:
        return _starting(catalogue.names, last)
    command = catalogue.names.get(said[0].lower())
    if command is None:
        return []
    by_name = parsing_usage.options(command)
    waiting = by_name.get(said[-1]) if "--" not in said[1:] else None
    if waiting is not None and waiting.type is not ArgType.FLAG:
        return _values(waiting, last, catalogue, names)
    if last.startswith("-") and "--" not in said[1:]:
        return _starting([name for name in (*by_name, "--help") if name.startswith("--")], last)
    positional = [arg for arg in command.args if not arg.option]
    given = sum(1 for word in said[1:] if not word.startswith("-"))
    if not positional:
        return []
    arg = positional[min(given, len(positional) - 1)]
    if given >= len(positional) and not (arg.many or arg.remainder):
        return []
    return _values(arg, last, catalogue, names)


@dataclass(slots=True)
class _Reading:
    """One command's arguments while they are read, left to right."""

    command: Command
    catalogue: Catalogue
    given: dict[str, list[Any]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)

    def read(self, said: Sequence[str]) -> dict[str, Any]:
        by_name = parsing_usage.options(self.command)
        rest = next((at for at, arg in enumerate(parsing_usage.positionals(self.command)) if arg.remainder), None)
        queue = list(said)
        while queue:
            word = queue.pop(0)
            if rest is not None and len(self.loose) > rest:
                self.loose += [word, *queue]
                break
            if word == "--":
                self.loose += queue
                break
            if word.startswith("--"):
                self._long(word, by_name, queue)
            elif word.startswith("-") and word != "-":
                self._short(word, by_name, queue)
            else:
                self.loose.append(word)
        self._place()
        return {arg.key: self._value(arg) for arg in self.command.args}

    def _long(self, word: str, by_name: Mapping[str, Arg], queue: list[str]) -> None:
        name, equals, text = word.partition("=")
        arg = by_name.get(name)
        if arg is None:
            raise self._unknown(name, by_name)
        if arg.type is ArgType.FLAG:
            if equals:
                raise self._bad(f"{name} is a switch and takes no value.", f"Write {name} alone, or leave it out.")
            self._keep(arg, True)
        else:
            self._keep(arg, self._read_as(arg, name, text if equals else self._next(arg, name, queue)))

    def _short(self, word: str, by_name: Mapping[str, Arg], queue: list[str]) -> None:
        letters = word[1:]
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            arg = by_name.get(name)
            if arg is None:
                raise self._unknown(name if len(word) == 2 else f"{name} in {word}", by_name)
            if arg.type is ArgType.FLAG:
                self._keep(arg, True)
                continue
            text = letters.removeprefix("=") if letters else self._next(arg, name, queue)
            self._keep(arg, self._read_as(arg, name, text))
            return

    def _next(self, arg: Arg, name: str, queue: list[str]) -> str:
        if not queue or (queue[0].startswith("-") and len(queue[0]) > 1 and not _NEGATIVE.match(queue[0])):
            cure = f"Write {name} {parsing_usage.sample(arg)}."
            if queue and queue[0] != "--":
                value = command_line.abbreviate(queue[0])
                cure += f" If {value} is the value: {arg.name}={value}."
            raise self._bad(f"{name} needs a value.", cure)
        return queue.pop(0)

    def _keep(self, arg: Arg, value: Any) -> None:
        if arg.key in self.given and not arg.many and arg.type is not ArgType.FLAG:
            raise self._bad(f"{arg.name} is given twice.", "Give it once.")
        self.given.setdefault(arg.key, []).append(value)

    def _place(self) -> None:
        """The words without dashes to the positional arguments, in order."""
        left = list(self.loose)
        for arg in parsing_usage.positionals(self.command):
            taken = left if arg.many or arg.remainder else left[:1]
            left = left[len(taken) :]
            if taken:
                self.given[arg.key] = [self._read_as(arg, parsing_usage.placeholder(arg), word) for word in taken]
            elif arg.required:
                raise self._bad(
                    f"{self.command.name} needs {parsing_usage.placeholder(arg)}: {arg.help}.", self._example()
                )
        if left:
            raise self._bad(
                f"{self.command.name} cannot make sense of “{command_line.abbreviate(left[0])}”.",
                f"Usage: {parsing_usage.usage(self.command)}",
            )

    def _value(self, arg: Arg) -> Any:
        given = self.given.get(arg.key)
        if arg.many or arg.remainder:
            return tuple(given) if given else tuple(arg.default or ())
        if arg.type is ArgType.FLAG:
            return bool(given) or bool(arg.default)
        return given[0] if given else arg.default

    def _read_as(self, arg: Arg, name: str, text: str) -> Any:
        if not text:
            raise self._bad(f"{name} is empty.", f"Write {parsing_usage.sample(arg)}, or leave it out.")
        if arg.choices and text not in arg.choices:
            if text.lower() in arg.choices:
                return text.lower()
            close = parsing_usage.closest(text.lower(), arg.choices)
            known = f"It can be {', '.join(arg.choices)}."
            raise self._bad(
                f"{name} cannot be “{command_line.abbreviate(text)}”.",
                f"Did you mean {close}? {known}" if close else known,
            )
        match arg.type:
            case ArgType.COUNT:
                return self._count(arg, name, text)
            case ArgType.SECONDS:
                return self._number(arg, name, text.removesuffix("s"), least=0)
            case ArgType.DURATION:
                return self._duration(name, text)
            case ArgType.COMMAND:
                return self.catalogue.find(text).name
            case _:
                return text

    def _count(self, arg: Arg, name: str, text: str) -> int:
        if text.lower() == "all":
            return arg.maximum or MOST
        return self._number(arg, name, text, least=1)

    def _number(self, arg: Arg, name: str, text: str, *, least: int) -> int:
        top = arg.maximum or MOST
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= top:
            what = "seconds, a whole number" if arg.type is ArgType.SECONDS else "a whole number"
            raise self._bad(
                f"{name} cannot be “{command_line.abbreviate(text)}”.", f"It takes {what} from {least} to {top:,}."
            )
        return int(text)

    def _duration(self, name: str, text: str) -> timedelta:
        if _NUMBER.fullmatch(text):
            raise self._bad(f"{name} {text}: of what?", f"Write {text}s, {text}m, {text}h or {text}d.")
        if not _DURATION.fullmatch(text.lower()):
            raise self._bad(
                f"{name} cannot be “{command_line.abbreviate(text)}”.",
                "It takes a time such as 90s, 10m, 2h, 1h30m or 1d.",
            )
        pairs = re.findall(r"([0-9]+)([smhdw])", text.lower())
        seconds = sum(int(number) * parsing_usage.UNITS[unit] for number, unit in pairs)
        if not 0 < seconds <= LONGEST_DURATION.total_seconds():
            raise self._bad(
                f"{name} cannot be “{command_line.abbreviate(text)}”.",
                f"It takes a time from 1s to {LONGEST_DURATION.days}d.",
            )
        return timedelta(seconds=seconds)

    def _unknown(self, name: str, by_name: Mapping[str, Arg]) -> errors.BadUsage:
        long = [option for option in by_name if option.startswith("--")]
        shown = ", ".join(parsing_usage.as_typed(arg) for arg in self.command.args if arg.option)
        close = parsing_usage.closest(name, long) if name.startswith("--") else ""
        hint = f"Did you mean {close}? " if close else ""
        hint += f"Its options: {shown}." if shown else "It has no options."
        return self._bad(f"{self.command.name} has no option {command_line.abbreviate(name)}.", hint)

    def _example(self) -> str:
        return (
            f"For example: {self.command.examples[0]}"
            if self.command.examples
            else f"Usage: {parsing_usage.usage(self.command)}"
        )

    def _bad(self, message: str, hint: str) -> errors.BadUsage:
        return errors.BadUsage(message, hint=hint)


def _wants_help(command: Command, said: Sequence[str]) -> bool:
    """Whether a `--help` stands where options are read, however wrong the rest is."""
    rest = next((at for at, arg in enumerate(parsing_usage.positionals(command)) if arg.remainder), None)
    loose = 0
    for word in said:
        if word == "--" or (rest is not None and loose > rest):
            return False
        if word in ("--help", "-h"):
            return True
        loose += not word.startswith("-")
    return False


def _values(arg: Arg, last: str, catalogue: Catalogue, names: Sequence[str]) -> list[str]:
    if arg.choices:
        return _starting(arg.choices, last)
    if arg.type is ArgType.COMMAND:
        return _starting(catalogue.commands, last)
    if arg.type is ArgType.TARGET:
        return [command_line.quote([name]) for name in _starting(names, last)]
    return []


def _starting(candidates: Sequence[str] | Mapping[str, Any], start: str) -> list[str]:
    return sorted({word for word in candidates if word.startswith(start)})
