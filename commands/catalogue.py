"""Imports all command modules of this package and lists their commands by name. Each module exports one `command`.

A name is a verb (`ps`), or a noun and a verb (`network ls`). A folder whose name starts with an underscore contains no
commands. A module without a command, a duplicate name and conflicting arguments are errors at start that name the
module, so that no command is silently missing.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import commands
from commands.module_index import MODULE_OF_ALIAS, MODULE_OF_COMMAND
from commands.spec import Arg, ArgType, Command
from core import errors
from core.lazy_dataclass import dataclass
from core.model.actions import Risk
from core.text import command_line

NOT_COMMANDS = frozenset({"commands.catalogue", "commands.module_index", "commands.spec"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Holds all commands. `commands`: by name, in alphabetical order. `names`: by name and alias."""

    commands: Mapping[str, Command]
    names: Mapping[str, Command]

    def __iter__(self) -> Iterator[Command]:
        return iter(self.commands.values())

    def match(self, words: Sequence[str]) -> tuple[Command, int]:
        """Returns the command that these words begin with, and how many of them are its name. Raises UnknownCommand."""
        both = " ".join(words[:2])
        if len(words) > 1 and (command := self.names.get(both.lower())) is not None:
            return command, 2
        if len(words) > 1 and self.verbs_of(words[0]):
            return self.find(both), 2
        return self.find(words[0]), 1

    def verbs_of(self, noun: str) -> Sequence[str]:
        """Returns the verbs of the commands that begin with this noun, such as `ls` and `inspect` of `network`."""
        start = f"{noun.lower()} "
        return sorted(name.removeprefix(start) for name in self.names if name.startswith(start))

    def about(self, topic: str) -> Sequence[Command]:
        """Returns the command with this name or alias, or the commands of this noun. Raises UnknownCommand."""
        start = f"{topic.lower()} "
        if topic.lower() in self.names or not self.verbs_of(topic):
            return [self.find(topic)]
        return list(dict.fromkeys(command for name, command in sorted(self.names.items()) if name.startswith(start)))

    def find(self, name: str) -> Command:
        """Returns the command with this name or alias, in any case. Raises UnknownCommand with similar names, but only
        those of commands that read: a mistyped word is never answered with a change."""
        command = self.names.get(name.lower())
        if command is None:
            noun = name.partition(" ")[0].lower()
            reads = self._reading()
            if self.verbs_of(noun):
                reading = [each for each in reads if each.startswith(f"{noun} ")]
                hint = f"These commands only read: {', '.join(sorted(reading))}. " if reading else ""
                raise errors.UnknownCommand(
                    f"There is no command “{command_line.abbreviate(name)}”.",
                    hint=f"{hint}List all {noun} commands with: help {noun}",
                )
            close = difflib.get_close_matches(name.lower(), list(self.names), n=2, cutoff=0.6)
            # If the likeliest word is a change, nothing is suggested: another word was hardly meant.
            close = [each for each in close if each in reads] if close and close[0] in reads else []
            hint = f"Did you mean {' or '.join(close)}?" if close else "List all commands with: help"
            raise errors.UnknownCommand(f"There is no command “{command_line.abbreviate(name)}”.", hint=hint)
        return command

    def _reading(self) -> Sequence[str]:
        """The names and aliases of the commands that change nothing."""
        return [name for name, command in self.names.items() if command.risk is Risk.READ]


def load_catalogue() -> Catalogue:
    """Imports the commands of this package. Raises RuntimeError that names the wrong module."""
    found = []
    for module in pkgutil.walk_packages(commands.__path__, "commands."):
        _, *folders, name = module.name.split(".")
        if module.ispkg or (folders and folders[0].startswith("_")) or module.name in NOT_COMMANDS:
            continue
        if not folders:
            raise RuntimeError(f"commands/{name}.py is not in a folder. Move it to the folder of its noun.")
        command = getattr(importlib.import_module(module.name), "command", None)
        path = "/".join((*folders, name))
        if not isinstance(command, Command):
            raise RuntimeError(  # noqa: TRY004 - the module is wrong, not a value's type
                f"commands/{path}.py has no `command`. Export one, or move the module to commands/_shared."
            )
        found.append((path, command))
    return gather(found)


def open_catalogue() -> Catalogue:
    """Returns the catalogue for a process that runs one command: each module is imported when its command is looked up.
    If a module was added or removed since the index was made, it imports all of them."""
    folder = Path(commands.__path__[0])
    modules = {".".join(file.relative_to(folder).with_suffix("").parts) for file in folder.glob("[!_]*/[!_]*.py")}
    if modules != set(MODULE_OF_COMMAND.values()):
        return load_catalogue()
    names = {**MODULE_OF_COMMAND, **MODULE_OF_ALIAS}
    return Catalogue(commands=_ImportedOnDemand(MODULE_OF_COMMAND), names=_ImportedOnDemand(names))


class _ImportedOnDemand(Mapping[str, Command]):
    """Commands by name. `modules`: by name, in the package `commands`."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def __getitem__(self, name: str) -> Command:
        command: Command = importlib.import_module(f"commands.{self._modules[name]}").command
        if name not in (command.name, *command.aliases):
            raise RuntimeError(f"commands/module_index.py is out of date about “{name}”. Write it again: make golden")
        return command

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


def gather(found: Iterable[tuple[str, Command]]) -> Catalogue:
    """Builds a catalogue from (module, command) pairs. Raises RuntimeError for a duplicate name or conflicting
    arguments."""
    owners: dict[str, str] = {}
    names: dict[str, Command] = {}
    by_name: dict[str, Command] = {}
    for module, command in sorted(found, key=lambda pair: pair[1].name):
        for name in (command.name, *command.aliases):
            if name in owners:
                raise RuntimeError(
                    f"“{name}” is a command of both commands/{owners[name]}.py and commands/{module}.py."
                )
            if not _is_name(name):
                raise RuntimeError(
                    f"“{name}” of commands/{module}.py is not a command name. Use a verb, or a noun and a verb,"
                    " in lower case."
                )
            owners[name], names[name] = module, command
        if problem := _problem(command.args):
            raise RuntimeError(f"commands/{module}.py: {problem}.")
        by_name[command.name] = command
    for name in names:
        if " " in name and (noun := name.partition(" ")[0]) in names:
            raise RuntimeError(
                f"“{name}” of commands/{owners[name]}.py begins with “{noun}”, a command of commands/{owners[noun]}.py."
            )
    return Catalogue(commands=by_name, names=names)


def _is_name(name: str) -> bool:
    words = name.split()
    return name == " ".join(words).lower() and 1 <= len(words) <= 2 and not any(map(_is_option, words))


def _is_option(word: str) -> bool:
    return word.startswith("-")


def _problem(args: Iterable[Arg]) -> str:
    """The first problem of these arguments, or nothing."""
    seen = {"--help", "-h"}
    open_ended = optional = ""
    for arg in args:
        spellings = [arg.name, *arg.hidden_names, *([f"-{arg.short}"] if arg.short else [])]
        for name in spellings:
            if name in seen:
                return f"argument {name} is used twice, or is --help"
            seen.add(name)
        if arg.option:
            if arg.remainder or (arg.type is ArgType.FLAG and arg.many):
                return f"option {arg.name} cannot be `remainder` or a flag with `many`"
            continue
        if arg.type is ArgType.FLAG or arg.short:
            return f"{arg.name} is positional and cannot be a flag"
        if open_ended:
            return f"{arg.name} comes after {open_ended}, which takes all arguments"
        if optional and arg.required:
            return f"{arg.name} is required but comes after {optional}, which is optional"
        open_ended = arg.name if arg.many or arg.remainder else ""
        optional = optional or ("" if arg.required else arg.name)
    return ""
