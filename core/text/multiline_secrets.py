"""Masks secrets whose value is on the lines after their name.

These are block texts of YAML (`password: |`), here-documents (`password = <<EOF`), and values inside braces (`variable
"db_password" { default = "…" }`, `"dbPassword": {"value": "…"}`).

A block ends where its indentation ends, at its own end marker, or with its brace, and at the latest after MAX_LINES
lines. Every quantifier is bounded, so a text costs linear time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.text import named_secrets
from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later

HINTS = ("|", ">", "<<", "{", ":\n")
MAX_LINES = 200

_BLOCK_SIGN = compile_later(r"[ \t][|>][-+0-9]{0,3}[ \t]*$")
_BLOCK = compile_later(
    r"(?P<before>[^\n]{0,200}?)(?<![\w.-])[\"']?(?P<name>[\w.-]{1,80})[\"']?:[ \t]{1,8}"
    r"(?:(?:&|!!?(?!vault))[\w-]{1,64}[ \t]{1,4})?[|>][-+0-9]{0,3}[ \t]*"
)
_HERE = compile_later(
    r"(?<![\w.-])(?P<name>[\w.-]{1,80})[ \t]{0,8}[=:][ \t]{0,8}<<[-~]?[\"']?(?P<end>[A-Z_]{2,32})[\"']?\s*$"
)
_OPENED = compile_later(
    r"(?:\b(?:variable|output)[ \t]{1,4}\"(?P<label>[\w.-]{1,80})\"[ \t]{0,4}"
    r"|\"(?P<name>[\w.-]{1,80})\"[ \t]{0,4}:[ \t]{0,4})\{"
)
_INSIDE = compile_later(
    r"((?:\"value\"|(?<![\w.\"-])(?:default|value))[ \t]{0,8}[:=][ \t]{0,8})\"((?:[^\"\\\n]|\\.){1,4096}+)(\"?)"
)

_LIST = compile_later(r"(?<![\w.-])[\"']?([\w.-]{0,80}(?:password|passwd|token|[_-]key)s)[\"']?:[ \t]*$", re.IGNORECASE)
_ITEM = compile_later(
    r"([^\n-]{0,80}-[ \t]{1,8})(?![\w.-]{1,80}:(?:[ \t]|$)|[A-Z_]{2,40}$|[\[{|>&*!])"
    r"(?:\"[^\"\n]{1,4096}+\"|'[^'\n]{1,4096}+'|[^\s\"']{1,4096}+)[ \t]{0,8}"
)
# The beginning of a secret key of AWS at the end of a line, and its rest, behind what a log writes before each line.
_KEY_LENGTH = 40
_KEY_START = compile_later(
    r"((?:secret_?access_?key|aws_secret)\\{0,3}[\"']?\]?[ \t]{0,4}[=:][ \t]{0,4}\\{0,3}[\"']?"
    r"|(?-i:AKIA|ASIA)[A-Z0-9]{16}[^A-Za-z0-9/+\n]{1,3})([A-Za-z0-9/+]{4,39})[ \t]*$",
    re.IGNORECASE,
)
_KEY_REST = compile_later(r"((?:[^|\n]{0,80}\|)?[ \t]{0,80})([A-Za-z0-9/+]{1,36})(?![A-Za-z0-9/+=])")
_CONTINUED_WORD = compile_later(r"^[^\s\"'\\•]{1,4096}")
_CUT_JWT = compile_later(r"(?<![\w-])eyJ[\w-]{8,}+(?:\.[\w-]*+){0,2}$")
_CONTINUED_JWT = compile_later(r"^([ \t]{0,80})(?:[\w-]{0,4096}+\.[\w-]{10,4096}+|[\w-]{20,4096}+(?=[\s\"',]|$))")


def mask_wrapped_keys(lines: Sequence[str]) -> list[str]:
    """Masks secret keys of AWS that are wrapped over two lines: their parts have 40 characters together."""
    shown = list(lines)
    for at in range(len(lines) - 1):
        start = _KEY_START.search(lines[at]) if len(lines[at]) >= 12 else None
        if start is None:
            continue
        rest = _KEY_REST.match(lines[at + 1])
        if rest is not None and len(start[2]) + len(rest[2]) == _KEY_LENGTH:
            shown[at] = f"{lines[at][: start.end(1)]}{MASK}"
            shown[at + 1] = f"{rest[1]}{MASK}{lines[at + 1][rest.end() :]}"
    return shown


def mask_blocks(lines: Sequence[str]) -> list[str]:
    """Masks the values whose name is in an earlier line, or before an open brace."""
    shown = list(lines)
    until = closed = 0  # the line after the last block, and after the last brace
    for at, line in enumerate(lines):
        if at < until:
            continue
        if "{" in line and at >= closed:
            for opened in _OPENED.finditer(line):
                name = opened["label"] or opened["name"]
                if named_secrets.is_secret_name(name):
                    closed = _mask_braces(shown, at, opened.end(), name)
                    break
        elif "<<" in line:
            until = _mask_here(shown, at)
        elif line.rstrip().endswith(":"):
            until = _mask_list(shown, at)
        elif _BLOCK_SIGN.search(line[-12:]):
            until = _mask_block(shown, at)
    return shown


def mask_continued(before: str, line: str) -> str:
    """Masks the rest of a secret that was cut by the end of the line `before`: after a backslash, or in the middle of a
    JSON web token."""
    if before.endswith("\\"):
        return _CONTINUED_WORD.sub(MASK, line, count=1)
    return _CONTINUED_JWT.sub(rf"\1{MASK}", line, count=1) if _CUT_JWT.search(before[-4_096:].rstrip()) else line


def _mask_braces(shown: list[str], first: int, start: int, name: str) -> int:
    """Masks the values of this name up to the end of the brace that opens before `start`. Returns the line after it."""

    def mask(found: re.Match[str]) -> str:
        return f'{found[1]}"{MASK}{found[3]}' if named_secrets.is_secret(name, found[2]) else found[0]

    depth = 1
    for number in range(first, min(first + MAX_LINES, len(shown))):
        line, begin = shown[number], start if number == first else 0
        end = begin
        while end < len(line) and depth:
            depth += (line[end] == "{") - (line[end] == "}")
            end += 1
        shown[number] = line[:begin] + _INSIDE.sub(mask, line[begin:end]) + line[end:]
        if not depth:
            return number + 1
    return first + MAX_LINES


def _mask_here(shown: list[str], at: int) -> int:
    """Masks a here-document. Returns the line after it."""
    here = _HERE.search(shown[at][-200:])
    if here is None or not named_secrets.is_secret_name(here["name"]):
        return at
    for number in range(at + 1, min(at + MAX_LINES, len(shown))):
        if shown[number].rstrip().endswith(here["end"]):
            return number
        shown[number] = _masked(shown[number], 0)
    return at + MAX_LINES


def _mask_block(shown: list[str], at: int) -> int:
    """Masks a block text of YAML, behind whatever a log writes before each line. Returns the line after it."""
    block = _BLOCK.fullmatch(shown[at])
    if block is None or not named_secrets.is_secret_name(block["name"]):
        return at
    prefix, column = len(block["before"].rstrip()), block.start("name")
    for number in range(at + 1, min(at + MAX_LINES, len(shown))):
        line = shown[number]
        if line[prefix:].strip() and (line[prefix : column + 1].strip() or len(line) <= column + 1):
            return number
        shown[number] = _masked(line, prefix)
    return at + MAX_LINES


def _mask_list(shown: list[str], at: int) -> int:
    """Masks the items of a list of YAML (`passwords:`). A list of `secrets` or `credentials` has their names. Returns
    the line after it."""
    name = _LIST.search(shown[at][-200:])
    if name is None or not named_secrets.is_secret_name(name[1]):
        return at
    number = at + 1
    while number < min(at + MAX_LINES, len(shown)) and (item := _ITEM.fullmatch(shown[number])) is not None:
        shown[number] = f"{item[1]}{MASK}"
        number += 1
    return number


def _masked(line: str, prefix: int) -> str:
    text = line[prefix:].lstrip()
    return line[: len(line) - len(text)] + MASK if text else line
