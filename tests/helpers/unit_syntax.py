"""Reads units as systemd and Quadlet do, written from systemd.syntax(7) and systemd.service(5) for tests to check
against; and the real Quadlet generator, where there is one."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from runtimes.podman import unit_drafts
from tests.helpers.requirements import REQUIRED

SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
SIZES = {"x": 2, "u": 4, "U": 8}


def split(text: str) -> list[str]:
    """The words of a value: blanks part them, quotes hold them together, escapes as in C."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\\":
            kind, at = text[at], at + 1
            word = word if word is not None else []
            if kind in SIZES:
                word.append(chr(int(text[at : at + SIZES[kind]], 16)))
                at += SIZES[kind]
            else:
                word.append(SIMPLE.get(kind, kind))
        elif quote:
            if character == quote:
                quote = ""
            elif word is not None:
                word.append(character)
        elif character in "\"'" and word is None:
            quote, word = character, []
        elif character in " \t\n\r":
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [*(word or []), character]
    assert not quote, text
    return [*words, "".join(word)] if word is not None else words


def expanded(word: str) -> str:
    """After systemd's `%` and `$`. A single one of either would be replaced by something else."""
    assert not re.search(r"(?<!%)(?:%%)*%(?!%)", word), word
    assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", word), word
    return word.replace("%%", "%").replace("$$", "$")


def argv(exec_start: str) -> list[str]:
    """What is run. Raises AssertionError where a `;` of its own would begin another command."""
    words = split(exec_start)
    assert ";" not in words
    return [word if word.startswith("--cidfile=") else expanded(word) for word in words]


def sections(text: str) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    here: list[tuple[str, str]] = []
    # By line feeds alone: to systemd no other character ends a line.
    for line in text.split("\n"):
        if line.startswith("[") and line.endswith("]"):
            assert line not in found
            here = found.setdefault(line, [])
        elif line and not line.startswith(("#", ";")):
            key, equals, value = line.partition("=")
            assert equals and not value.endswith("\\"), line
            here.append((key, value))
    return found


def generated(text: str, *, user: bool = False) -> str:
    """What the real generator makes of a .container file."""
    program = unit_drafts.generator()
    if program is None:
        reason = "quadlet: needs the generator of Podman 4.4 or newer"
        if "quadlet" in REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        (Path(folder) / "web.container").write_text(text)
        words = [program, *(["-user"] if user else []), "-dryrun"]
        said = subprocess.run(words, env={"QUADLET_UNIT_DIRS": folder}, capture_output=True, text=True, timeout=20)
    assert said.returncode == 0, said.stderr
    return said.stdout.partition("---\n")[2]
