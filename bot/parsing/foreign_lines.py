"""Translates a line of docker, podman, crictl or a similar program into a command line of Quarterdeck.

`docker container ls -a` becomes `ps -a`, `crictl pods` becomes `pods --engine cri`. The tables are in
`foreign_commands` and `unsupported_commands`. A command that Quarterdeck does not have is refused, with an alternative.
Only the command's name and the options before it are translated, so a line never does something else than its author
wrote.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from bot.parsing import foreign_commands, unsupported_commands, usage
from bot.parsing.foreign_commands import NOUN_VERBS, ForeignProgram
from commands.catalogue import Catalogue
from commands.spec import ENGINE, LABEL, Command
from core import errors
from core.model.actions import Risk
from core.text import command_line

NAMESPACE_LABEL = "containerd.namespace"  # of every container and image of containerd
_SHELL = frozenset({"|", "||", "&&", ";", ">", ">>", "<", "&"})
_PLACEHOLDER = re.compile(r"<[A-Za-z][^<>]*>?")
_CHOICE = re.compile(r"\[?([\w./-]+(?:\|[\w./-]+)+)\]?")
PAGERS = frozenset({"less", "more", "cat"})
# A unit file where systemd looks for it, in /etc or in a user's home.
_UNIT_FILE = re.compile(r"(?:~|/)[\w./@-]{0,200}systemd/(?:system|user)/(?P<name>[\w.@:-]{1,200}\.service)")
_COMMENTS = ("//", "#")
# The resource that a placeholder names, and the command that lists such resources.
_LISTS = {
    "image": "images",
    "service": "services",
    "network": "network ls",
    "volume": "volume ls",
    "node": "nodes",
    "pod": "pods",
    "stack": "stack ls",
    "unit": "units",
    "container": "ps -a",
}
# A command with what a list of commands says beside it: `docker ps          List running containers`.
_NOUNS = "compose|config|container|image|network|node|pod|secret|service|stack|swarm|system|volume"
_DESCRIBED = re.compile(
    rf"(\s*\w+ (?:(?:{_NOUNS}) )?[a-z|-]+(?: -[\w-]+| <[^<>]+>)*)(?: {{3,}}|\t+)"
    r"(?:Attach|Build|Commit|Copy|Create|Delete|Display|Execute|Export|Fetch|Get|Import|Initialize|Inspect|Kill|List"
    r"|Load|Manage|Pause|Pull|Push|Remove|Rename|Restart|Run|Save|Scale|Search|Show|Start|Stop|Tag|Update|View"
    r"|display)s? \S.*"
)


def translate_foreign_line(words: Sequence[str], catalogue: Catalogue, *, limited: bool = True) -> list[str]:
    """Returns the words of our command, with `limited` also the options that limit it to the program's engines. Raises
    UnknownCommand or BadUsage for a command or an option before it that does not exist here."""
    left = without_prefix(words, catalogue)
    if not left:
        return left
    name = left[0].lower()
    program = foreign_commands.FOREIGN_PROGRAMS.get(name) if name not in catalogue.names else None
    if program is None:
        if name in PAGERS and len(left) == 2 and (unit := _UNIT_FILE.fullmatch(left[1])):
            return ["unit", "cat", unit["name"]]
        if name not in catalogue.names and name in unsupported_commands.PROGRAMS:
            raise _missing(name, *unsupported_commands.PROGRAMS[name])
        return _own_name(left, {}, catalogue)
    left = _without_comment(left[1:])
    left, namespace = _without_globals(name, program, left)
    left = [_without_transport(program, word) for word in left if word not in program.ignored]
    if left and len(left) == 1 and (noun := left[0].lower()) in program.alone:
        left = program.alone[noun].split()
    left = _own_name(left, program.commands, catalogue)
    return _limited(left, program, namespace, catalogue) if limited else left


def without_description(line: str) -> str:
    """Returns a line of another program without the description that was copied with it from a list of commands."""
    program, *_ = line[:80].lower().split(None, 1) or ("",)
    if program not in foreign_commands.FOREIGN_PROGRAMS or len(line) > command_line.MAX_LINE_LENGTH:
        return line
    described = _DESCRIBED.fullmatch(line.rstrip())
    return described[1] if described else line


def without_prefix(words: Sequence[str], catalogue: Catalogue) -> list[str]:
    """Returns the words without a leading `/deck`, `sudo` or similar, unless that is a command."""
    left = list(words)
    while left and left[0].lower() in foreign_commands.PREFIXES and left[0].lower() not in catalogue.names:
        left.pop(0)
    return left


def check_words(command: Command, words: Sequence[str]) -> None:
    """Raises BadUsage for a word that belongs to a shell or to a manual, not to a command: `|`, `<id>`, `start|stop`.
    `words`: those before `--`."""
    for word in words:
        if word in _SHELL or "$(" in word or word.startswith("2>"):
            raise errors.BadUsage(
                f"“{command_line.abbreviate(word)}” belongs to a shell, and Quarterdeck runs no shell.",
                hint=_without_shell(command, word),
            )
        _check_word(word)


def _without_shell(command: Command, word: str) -> str:
    """Returns what to write instead of a word for a shell."""
    if "$(" in word:
        return "Write the names themselves, or a pattern such as 'web-*'."
    cure = f"Leave out “{command_line.abbreviate(word)}” and everything after it."
    if word in ("&&", "||", ";"):
        return f"{cure} Give each command on a line of its own."
    if word != "|" or command.risk is not Risk.READ:
        return cure
    if "--tail" in usage.options_by_name(command):
        return f"{cure} To see fewer lines, add --tail or --since."
    return f"{cure} To see only some rows of `{command.name}`, give a name or a pattern, such as 'web-*'."


def _check_word(word: str, cure: str = "") -> None:
    """Raises BadUsage for `<id>` and `start|stop`. `cure`: what to write in place of a placeholder."""
    if found := _PLACEHOLDER.search(word):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(found[0])}” is only a placeholder.",
            hint=cure or _name_to_write(found[0].lower()),
        )
    if choice := _CHOICE.fullmatch(word):
        first = choice[1].partition("|")[0]
        raise errors.BadUsage(
            f"“{command_line.abbreviate(word)}” is a placeholder for one of several words.",
            hint=f"Write one of them, such as {command_line.abbreviate(first)}.",
        )


def _name_to_write(placeholder: str) -> str:
    for noun, command in _LISTS.items():
        if noun in placeholder:
            return f"Write the name of {'an' if noun == 'image' else 'a'} {noun}. List them with: {command}."
    return "Write the name of a container or another resource. List the containers with: ps -a."


def _own_name(words: list[str], table: Mapping[str, str], catalogue: Catalogue) -> list[str]:
    """Replaces the one or two words that name a command by our name of it. Raises UnknownCommand."""
    words = _without_container(words, table, catalogue)
    for count in (2, 1):
        if len(words) < count:
            continue
        phrase = " ".join(words[:count]).lower()
        ours = table.get(phrase) or (phrase if phrase in catalogue.names else NOUN_VERBS.get(phrase, phrase))
        if ours == phrase and phrase in catalogue.names:
            return words
        if ours != phrase and _exists(ours.split(), catalogue):
            return [*ours.split(), *words[count:]]
        if ours in unsupported_commands.MISSING:
            raise _missing(phrase, *unsupported_commands.MISSING[ours])
    if words:
        _check_word(words[0], "Write the name of a command. List the commands with: help.")
        _check_program(words[0].lower(), catalogue)
    return words


def _check_program(word: str, catalogue: Catalogue) -> None:
    """Raises UnknownCommand for a program's name with a typing mistake, such as `podmam`."""
    close = difflib.get_close_matches(word, foreign_commands.FOREIGN_PROGRAMS, n=1, cutoff=0.8)
    known = word in catalogue.names or catalogue.verbs_of(word)
    if close and not known and not difflib.get_close_matches(word, catalogue.names, n=1, cutoff=0.8):
        raise errors.UnknownCommand(f"There is no command “{word}”.", hint=f"Did you mean {close[0]}?")


def _without_container(words: list[str], table: Mapping[str, str], catalogue: Catalogue) -> list[str]:
    """`container VERB` is `VERB`, unless a table has it."""
    if len(words) < 2 or words[0].lower() != "container":
        return words
    both = f"container {words[1].lower()}"
    known = any(both in names for names in (table, catalogue.names, NOUN_VERBS, unsupported_commands.MISSING))
    return words if known else words[1:]


def _exists(words: Sequence[str], catalogue: Catalogue) -> bool:
    return " ".join(words[:2]) in catalogue.names or words[0] in catalogue.names


def _missing(name: str, why: str, instead: str) -> errors.UnknownCommand:
    return errors.UnknownCommand(f"There is no command “{name}”: {why}.", hint=instead)


def _without_comment(words: list[str]) -> list[str]:
    """Removes a remark after the command, such as `// opens a shell`."""
    return words[: next((at for at, word in enumerate(words) if at and word in _COMMENTS), len(words))]


def _without_transport(program: ForeignProgram, word: str) -> str:
    found = next((start for start in program.transports if word.startswith(start)), "")
    return word.removeprefix(found)


def _without_globals(name: str, program: ForeignProgram, words: list[str]) -> tuple[list[str], str]:
    """Returns the words without the program's options before its command, and the namespace that they choose."""
    left, namespace = list(words), ""
    while left and left[0].startswith("-"):
        option, equals, value = left[0].partition("=")
        if option in ("-v", "--version"):
            return ["version"], ""
        if option in program.namespace and (equals or len(left) > 1):
            namespace = value if equals else left.pop(1)
        elif option in program.globals:
            raise errors.BadUsage(
                f"Quarterdeck does not support the option {option} of {name}.", hint=program.globals[option]
            )
        elif option not in program.ignored:
            break
        left.pop(0)
    return left, namespace


def _limited(words: list[str], program: ForeignProgram, namespace: str, catalogue: Catalogue) -> list[str]:
    """Limits a command to the engines of the program and to its namespace, as far as the command takes these."""
    if not words or words[0].startswith("-") or (words[0] not in catalogue.names and words[1:2] == ["--help"]):
        return words
    command, count = catalogue.match(words)
    options = usage.options_by_name(command)
    engine = foreign_commands.NAMESPACE_ENGINES.get(namespace, program.engine)
    more = []
    if engine and ENGINE.name in options and not any(word.startswith(ENGINE.name) for word in words):
        more += [ENGINE.name, engine]
    if namespace and engine == program.engine and LABEL.name in options:
        more += [LABEL.name, f"{NAMESPACE_LABEL}={namespace}"]
    return [*words[:count], *more, *words[count:]]
