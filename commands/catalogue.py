"""Finds every command people can type: each module in a folder of this package exports one `command`.

Folders whose name starts with an underscore hold no commands. A module without a command, a name used twice or
arguments that clash stop the start with an error that names the module: a command that is silently missing is worse.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import commands
from commands.spec import Arg, Command, Take
from core import errors
from core.text import command_line

NOT_COMMANDS = frozenset({"commands.catalogue", "commands.spec"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """`commands` by name, in alphabetical order; `names` by name and alias."""

    commands: Mapping[str, Command]
    names: Mapping[str, Command]

    def __iter__(self) -> Iterator[Command]:
        return iter(self.commands.values())

    def find(self, word: str) -> Command:
        """The command a word names, in any case of letters. Raises UnknownCommand with the nearest ones."""
        command = self.names.get(word.lower())
        if command is None:
            close = difflib.get_close_matches(word.lower(), list(self.names), n=2, cutoff=0.6)
            hint = f"Did you mean {' or '.join(close)}?" if close else "Say help to see them all."
            raise errors.UnknownCommand(f"There is no command “{command_line.abbreviate(word)}”.", hint=hint)
        return command


def load_catalogue() -> Catalogue:
    """The commands of this package. Raises RuntimeError naming the module that is wrong."""
    found = []
    for module in pkgutil.walk_packages(commands.__path__, "commands."):
        _, *folders, name = module.name.split(".")
        if module.ispkg or (folders and folders[0].startswith("_")) or module.name in NOT_COMMANDS:
            continue
        if not folders:
            raise RuntimeError(f"commands/{name}.py is in no folder. Move it to the folder of its noun.")
        command = getattr(importlib.import_module(module.name), "command", None)
        path = "/".join((*folders, name))
        if not isinstance(command, Command):
            raise RuntimeError(  # noqa: TRY004 - the module is wrong, not a value's type
                f"commands/{path}.py has no `command`. Export one, or move the module to commands/_shared."
            )
        found.append((path, command))
    return gather(found)


def gather(found: Iterable[tuple[str, Command]]) -> Catalogue:
    """A catalogue of (module, command) pairs. Raises RuntimeError for a word said twice or arguments that clash."""
    owners: dict[str, str] = {}
    names: dict[str, Command] = {}
    by_name: dict[str, Command] = {}
    for module, command in sorted(found, key=lambda pair: pair[1].name):
        for word in (command.name, *command.aliases):
            if word in owners:
                raise RuntimeError(
                    f"“{word}” is a command of both commands/{owners[word]}.py and commands/{module}.py."
                )
            if not word or word != word.lower() or word.startswith("-") or len(word.split()) != 1:
                raise RuntimeError(f"“{word}” of commands/{module}.py cannot be typed: one word, in lower case.")
            owners[word], names[word] = module, command
        if problem := _problem(command.args):
            raise RuntimeError(f"commands/{module}.py: {problem}.")
        by_name[command.name] = command
    return Catalogue(commands=by_name, names=names)


def _problem(args: Iterable[Arg]) -> str:
    """What is wrong with these arguments, if anything."""
    seen = {"--help", "-h"}
    open_ended = optional = ""
    for arg in args:
        spellings = [arg.name, *arg.also, *([f"-{arg.short}"] if arg.short else [])]
        for name in spellings:
            if name in seen:
                return f"argument {name} is there twice, or is --help"
            seen.add(name)
        if arg.option:
            if arg.rest or (arg.take is Take.FLAG and arg.many):
                return f"option {arg.name} cannot be `rest`, nor a flag that takes many"
            continue
        if arg.take is Take.FLAG or arg.short:
            return f"{arg.name} is positional and cannot be a flag"
        if open_ended:
            return f"{arg.name} comes after {open_ended}, which takes all words"
        if optional and arg.required:
            return f"{arg.name} is required but comes after {optional}, which is not"
        open_ended = arg.name if arg.many or arg.rest else ""
        optional = optional or ("" if arg.required else arg.name)
    return ""
