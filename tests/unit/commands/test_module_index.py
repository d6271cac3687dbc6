"""The index of the commands' modules, made from the code, and the catalogue that imports a module on demand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from commands import catalogue, module_index
from commands.catalogue import Catalogue, load_catalogue, open_catalogue
from commands.spec import Command
from core import errors
from tests.helpers.paths import ROOT

FILE = ROOT / "commands/module_index.py"
HEAD = '''"""Lists which module of this package has which command. It is made from the code; `make golden` writes it.

A process that runs one command imports the modules of that command only (`commands.catalogue.open_catalogue`).
"""

from __future__ import annotations

from collections.abc import Mapping

'''


def modules() -> Sequence[tuple[Command, str]]:
    """Each command with its module."""
    names = [name for name in sys.modules if name.startswith("commands.") and "._shared" not in name]
    found = [(getattr(sys.modules[name], "command", None), name.removeprefix("commands.")) for name in names]
    return [(command, name) for command, name in found if isinstance(command, Command)]


def index(words: Catalogue) -> str:
    own = {command.name: module for command, module in modules()}
    others = {alias: module for command, module in modules() for alias in command.aliases}
    assert own.keys() == words.commands.keys() and own.keys() | others.keys() == words.names.keys()
    tables = {"MODULE_OF_COMMAND": own, "MODULE_OF_ALIAS": others}
    return HEAD + "".join(_table(name, rows) for name, rows in tables.items())


def _table(name: str, rows: dict[str, str]) -> str:
    lines = "".join(f'    "{each}": "{rows[each]}",\n' for each in sorted(rows))
    return f"{name}: Mapping[str, str] = {{\n{lines}}}\n"


def test_the_index_is_current() -> None:
    made = index(load_catalogue())
    if os.environ.get("GOLDEN"):
        FILE.write_text(made)
    assert made == FILE.read_text(), "write it again with: make golden"


def test_it_is_the_same_catalogue() -> None:
    opened, loaded = open_catalogue(), load_catalogue()
    assert dict(opened.commands) == loaded.commands and dict(opened.names) == loaded.names
    assert [*opened] == [*loaded] and opened.verbs_of("network") == loaded.verbs_of("network")
    assert opened.match(["network", "ls", "-q"]) == loaded.match(["network", "ls", "-q"])
    with pytest.raises(errors.UnknownCommand, match="Did you mean events"):
        opened.find("evnets")


def test_a_module_that_the_index_does_not_list_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {name: module for name, module in module_index.MODULE_OF_COMMAND.items() if name != "ps"}
    monkeypatch.setattr(catalogue, "MODULE_OF_COMMAND", left)
    assert open_catalogue().find("ps").name == "ps"


def test_an_index_that_is_wrong_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = {**module_index.MODULE_OF_COMMAND, "ps": "containers.rm", "rm": "containers.ps"}
    monkeypatch.setattr(catalogue, "MODULE_OF_COMMAND", swapped)
    with pytest.raises(RuntimeError, match="out of date about “ps”"):
        open_catalogue().find("ps")


def test_only_the_command_is_imported() -> None:
    script = (
        "import sys; from commands.catalogue import open_catalogue\n"
        "words = open_catalogue(); words.match(['ps', '-a']); words.names.get('ps -a'); 'nothing' in words.names\n"
        "print(sorted(each for each in sys.modules if each.startswith('commands.') and each.count('.') == 2"
        " and '_shared' not in each))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "['commands.containers.ps']\n", done.stderr
