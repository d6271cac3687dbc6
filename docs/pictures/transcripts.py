"""Finds and replaces the recorded terminal sessions of a document.

A recorded session is a block of code between two comments, which a reader of the document does not see:

    <!-- recorded by make pictures: NAME -->
    ```console
    deck> ps
    …
    ```
    <!-- end of NAME -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

PROMPT = "deck> "
_BLOCK = re.compile(
    r"^(?P<indent> *)<!-- recorded by make pictures: (?P<name>[a-z-]+) -->\n"
    r"(?P=indent)```console\n(?P<lines>(?:.*\n)*?)(?P=indent)```\n(?P=indent)<!-- end of (?P=name) -->$",
    re.MULTILINE,
)


def find_transcripts(document: str) -> Mapping[str, Sequence[str]]:
    """Returns the lines of each recorded session, by its name."""
    return {
        block["name"]: [line.removeprefix(block["indent"]) for line in block["lines"].splitlines()]
        for block in _BLOCK.finditer(document)
    }


def without(document: str) -> str:
    """Returns the document without its recorded sessions."""
    return _BLOCK.sub("", document)


def replace(document: str, sessions: Mapping[str, Sequence[str]]) -> str:
    """Returns the document with these sessions in place of those of the same names that it has."""

    def renewed(block: re.Match[str]) -> str:
        name, indent = block["name"], block["indent"]
        if name not in sessions:
            return block[0]
        lines = "".join(f"{indent}{line}".rstrip() + "\n" for line in sessions[name])
        return (
            f"{indent}<!-- recorded by make pictures: {name} -->\n{indent}```console\n{lines}{indent}```\n"
            f"{indent}<!-- end of {name} -->"
        )

    return _BLOCK.sub(renewed, document)


def exchanges(lines: Sequence[str]) -> Sequence[tuple[str, Sequence[str]]]:
    """Returns each line that was typed at the console, and the lines that followed it."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(PROMPT):
            found.append((line.removeprefix(PROMPT), []))
        elif found:
            found[-1][1].append(line)
    return found
