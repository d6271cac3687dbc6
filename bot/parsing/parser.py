"""Parses a command line into a command and its arguments.

The parser never guesses: it does not complete options from a prefix, and it does not accept a value that looks like an
option. It refuses a line that it does not understand completely, with a hint, because a half-understood command may
change the wrong container. `--` ends the options; only after it may a name begin with a dash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from typing import Any

from bot.parsing import docker_filters, foreign_lines, foreign_options, usage
from commands.catalogue import Catalogue
from commands.spec import Arg, ArgType, Command
from core import errors
from core.lazy_dataclass import dataclass
from core.model import typed_times
from core.text import command_line

HELP_WORDS = frozenset({"--help", "-h", "-?", "?"})
MAX_DURATION = timedelta(days=3_650)
MAX_NUMBER = 1_000_000
MAX_OPTIONS_SHOWN = 700  # characters; the help of the command lists more
MAX_TARGET_LENGTH = 512  # a longer pattern would be compared with every name for too long
_NUMBER = re.compile(r"[0-9]{1,9}")
_DURATION = re.compile(r"(?:[0-9]{1,18}[smhdw])+")
_NAME = re.compile(r"[A-Za-z0-9#][A-Za-z0-9_.:/@#-]*")
_NEGATIVE = re.compile(r"-[0-9]")


def parse(line: str, catalogue: Catalogue) -> Parsed:
    """Returns the command and the arguments of a line. An empty line is `menu`; `restart --help` is `help restart`; one
    word that may be a name, such as `web`, is `card web`; a line of another program, such as `docker container ls`, is
    the same command here. Raises BadUsage or UnknownCommand."""
    words = command_line.split_command_line(foreign_lines.without_description(line))
    words = foreign_lines.translate_foreign_line(words, catalogue) or ["menu"]
    if words[0] in HELP_WORDS:
        words = ["help", *words[1:]]
    if len(words) == 2 and words[1] in HELP_WORDS and words[0].lower() not in catalogue.names:
        words = ["help", words[0]]
    try:
        command, count = _find_command(words, catalogue)
    except errors.UnknownCommand as error:
        if len(words) > 1 or not _NAME.fullmatch(words[0]) or catalogue.verbs_of(words[0]):
            raise
        card = parse(command_line.quote(["card", words[0]]), catalogue)
        return replace(card, args={**card.args, "unknown_command": error.hint}, line=words[0])
    words = words[count:]
    if command.name == "help" and words:
        words = foreign_lines.translate_foreign_line(words, catalogue, limited=False)
    if _asks_for_help(command, words):
        words = [word for word in words if word not in HELP_WORDS] if command.name == "help" else command.name.split()
        command = catalogue.find("help")
    words = docker_filters.convert_filters_to_options(command.name, words, usage.options_by_name(command))
    args = _ArgumentParser(command, catalogue).parse(words)
    return Parsed(command=command, args=args, line=command_line.quote([*command.name.split(), *words]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Holds a parsed line. `line` is the normalized line: it parses to the same command and arguments."""

    command: Command
    args: Mapping[str, Any]
    line: str


def _find_command(words: Sequence[str], catalogue: Catalogue) -> tuple[Command, int]:
    """The command of a line, and how many words its name has. For `web restart`, the error shows the right order."""
    word, following = words[0], words[1:]
    known = word.lower() in catalogue.names or catalogue.verbs_of(word)
    if not known and following and following[0].lower() in catalogue.names:
        reordered = command_line.quote([following[0].lower(), word, *following[1:]])
        raise errors.UnknownCommand(
            f"There is no command “{command_line.abbreviate(word)}”.", hint=f"Write the command first: {reordered}"
        )
    return catalogue.match(words)


@dataclass(slots=True)
class _ArgumentParser:
    """Parses the arguments of one command, from left to right."""

    command: Command
    catalogue: Catalogue
    values: dict[str, list[Any]] = field(default_factory=dict)
    positional_words: list[str] = field(default_factory=list)

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        by_name = usage.options_by_name(self.command)
        rest = _rest_index(self.command)
        if rest is None:
            foreign_lines.check_words(self.command, words[: words.index("--")] if "--" in words else words)
        queue = list(words)
        while queue:
            word = queue.pop(0)
            if rest is not None and len(self.positional_words) > rest:
                self.positional_words += [word, *queue]
                break
            if word == "--":
                self.positional_words += queue
                break
            if word.startswith("--"):
                self._parse_long(word, by_name, queue)
            elif word.startswith("-") and word != "-":
                self._parse_short(word, by_name, queue)
            else:
                self.positional_words.append(word)
        if rest is not None:
            foreign_lines.check_words(self.command, self.positional_words[:rest])
        self._assign_positionals()
        return {arg.key: self._result(arg) for arg in self.command.args}

    def _parse_long(self, word: str, by_name: Mapping[str, Arg], queue: list[str]) -> None:
        name, equals, text = word.partition("=")
        arg = by_name.get(name)
        if arg is None:
            raise self._unknown_option(name, by_name)
        if arg.type is ArgType.FLAG:
            if equals:
                raise errors.BadUsage(
                    f"The option {name} takes no value.", hint=f"Write {name} alone, or leave it out."
                )
            self._add(arg, True)
        else:
            self._add(arg, self._convert(arg, name, text if equals else self._next_value(arg, name, queue)))

    def _parse_short(self, word: str, by_name: Mapping[str, Arg], queue: list[str]) -> None:
        letters = word[1:]
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            arg = by_name.get(name)
            if arg is None:
                raise self._unknown_option(name if len(word) == 2 else f"{name} in {word}", by_name)
            if arg.type is ArgType.FLAG:
                self._add(arg, True)
                continue
            text = letters.removeprefix("=") if letters else self._next_value(arg, name, queue)
            self._add(arg, self._convert(arg, name, text))
            return

    def _next_value(self, arg: Arg, name: str, queue: list[str]) -> str:
        if not queue or (queue[0].startswith("-") and len(queue[0]) > 1 and not _NEGATIVE.match(queue[0])):
            hint = f"Write {name} {usage.example_value(arg)}."
            if arg.choices:
                hint = f"Write {name} and one of these: {', '.join(arg.choices)}."
            if queue and queue[0] != "--":
                value = command_line.abbreviate(queue[0])
                hint += f" If {value} is the value, write {arg.name}={value}."
            raise errors.BadUsage(f"{name} needs a value.", hint=hint)
        return queue.pop(0)

    def _add(self, arg: Arg, value: Any) -> None:
        if arg.key in self.values and not arg.many and arg.type is not ArgType.FLAG:
            raise errors.BadUsage(f"{arg.name} is given twice.", hint="Write this option only once.")
        self.values.setdefault(arg.key, []).append(value)

    def _assign_positionals(self) -> None:
        left = list(self.positional_words)
        for arg in usage.positionals(self.command):
            count = len(left) if arg.many or arg.remainder else min(1, len(left))
            if arg.type is ArgType.COMMAND and len(left) > 1:
                count = self.catalogue.match(left)[1]
            taken, left = left[:count], left[count:]
            if arg.type is ArgType.COMMAND and taken:
                taken = [" ".join(taken)]
            if taken:
                self.values[arg.key] = [self._convert(arg, usage.placeholder(arg), word) for word in taken]
            elif arg.required:
                raise errors.BadUsage(
                    f"{self.command.name} needs {usage.placeholder(arg)}: {arg.help}.", hint=_example(self.command)
                )
        if left:
            raise errors.BadUsage(
                f"{self.command.name} does not take the argument “{command_line.abbreviate(left[0])}”.",
                hint=f"Usage: {usage.format_usage_line(self.command)}",
            )

    def _result(self, arg: Arg) -> Any:
        given = self.values.get(arg.key)
        if arg.many or arg.remainder:
            return tuple(given) if given else tuple(arg.default or ())
        if arg.type is ArgType.FLAG:
            return bool(given) or bool(arg.default)
        return given[0] if given else arg.default

    def _convert(self, arg: Arg, name: str, text: str) -> Any:
        """The value of a word, by the argument's type."""
        if not text:
            value = f"one of these: {', '.join(arg.choices)}" if arg.choices else usage.example_value(arg)
            if arg.option:
                raise errors.BadUsage(f"{name} has an empty value.", hint=f"Write {value}, or leave {name} out.")
            hint = _example(self.command) if arg.required else "Leave the empty word out."
            raise errors.BadUsage(f"{name} is an empty word.", hint=hint)
        if arg.choices and text not in arg.choices:
            if text.lower() in arg.choices:
                return text.lower()
            close = usage.suggestions(text.lower(), arg.choices)
            choices = f"Write one of these: {', '.join(arg.choices)}."
            raise _invalid(name, text, f"Did you mean {close}? {choices}" if close else choices)
        if arg.type is ArgType.TARGET and len(text) > MAX_TARGET_LENGTH:
            raise errors.BadUsage(
                f"{name} “{command_line.abbreviate(text)}” has {len(text):,} characters; the maximum is"
                f" {MAX_TARGET_LENGTH}.",
                hint="Write a shorter name or pattern, such as web-*.",
            )
        match arg.type:
            case ArgType.COUNT:
                return _count(arg, name, text)
            case ArgType.SECONDS:
                return _number(arg, name, text.removesuffix("s"), minimum=0)
            case ArgType.MOMENT:
                return _moment(name, text)
            case ArgType.DURATION:
                return _duration(name, text)
            case ArgType.COMMAND:
                found = self.catalogue.about(text) if self.command.name == "help" else [self.catalogue.find(text)]
                return found[0].name if len(found) == 1 else text.lower()
            case _:
                return text

    def _unknown_option(self, name: str, by_name: Mapping[str, Arg]) -> errors.BadUsage:
        if instead := foreign_options.explain_option(self.command.name, name.partition(" ")[0], by_name):
            return errors.BadUsage(f"{self.command.name} has no option {name.partition(' ')[0]}.", hint=instead)
        long = [option for option in by_name if option.startswith("--")]
        options = ", ".join(usage.spelling(arg) for arg in self.command.args if arg.option)
        close = usage.suggestions(name, long) if name.startswith("--") else ""
        hint = f"Did you mean {close}? " if close else ""
        if len(options) > MAX_OPTIONS_SHOWN:
            hint += f"List its options with: help {self.command.name}"
        else:
            hint += f"Its options: {options}." if options else "It has no options."
        return errors.BadUsage(f"{self.command.name} has no option {command_line.abbreviate(name)}.", hint=hint)


def _example(command: Command) -> str:
    if command.examples:
        return f"For example: {command.examples[0]}"
    return f"Usage: {usage.format_usage_line(command)}"


def _count(arg: Arg, name: str, text: str) -> int:
    if text.lower() == "all":
        return arg.maximum or MAX_NUMBER
    return _number(arg, name, text, minimum=1)


def _number(arg: Arg, name: str, text: str, *, minimum: int) -> int:
    maximum = arg.maximum or MAX_NUMBER
    if not _NUMBER.fullmatch(text) or not minimum <= int(text) <= maximum:
        what = "a whole number of seconds" if arg.type is ArgType.SECONDS else "a whole number"
        raise _invalid(name, text, f"Write {what} from {minimum} to {maximum:,}.")
    return int(text)


def _duration(name: str, text: str) -> timedelta:
    if _NUMBER.fullmatch(text):
        raise errors.BadUsage(f"{name} {text} has no unit.", hint=f"Write {text}s, {text}m, {text}h or {text}d.")
    if not _DURATION.fullmatch(text.lower()):
        raise _invalid(name, text, "Write a duration such as 90s, 10m, 2h, 1h30m or 1d.")
    pairs = re.findall(r"([0-9]+)([smhdw])", text.lower())
    seconds = sum(int(number) * usage.UNIT_SECONDS[unit] for number, unit in pairs)
    if not 0 < seconds <= MAX_DURATION.total_seconds():
        raise _invalid(name, text, f"Write a duration from 1s to {MAX_DURATION.days}d.")
    return timedelta(seconds=seconds)


def _moment(name: str, text: str) -> typed_times.TypedTime:
    found = typed_times.parse_typed_time(text)
    if found is not None:
        return found
    if ":" in text or "-" in text:
        raise _invalid(
            name,
            text,
            "Write a time of day such as 14:05, a date such as 2026-11-29T14:05, or how long ago, such as 2h.",
        )
    return typed_times.TypedTime(ago=_duration(name, text))


def _invalid(name: str, text: str, hint: str) -> errors.BadUsage:
    return errors.BadUsage(f"The value of {name} cannot be “{command_line.abbreviate(text)}”.", hint=hint)


def _rest_index(command: Command) -> int | None:
    """The index of the positional that takes all that follows it, options included."""
    return next((index for index, arg in enumerate(usage.positionals(command)) if arg.remainder), None)


def _asks_for_help(command: Command, words: Sequence[str]) -> bool:
    """Whether `--help` is among the words where options are parsed, even if other words are wrong."""
    rest = _rest_index(command)
    positionals = 0
    for word in words:
        if word == "--" or (rest is not None and positionals > rest):
            return False
        if word in ("--help", "-h"):
            return True
        positionals += not word.startswith("-")
    return False
