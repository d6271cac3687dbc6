"""Detects secrets by name, by position and by their own format, and masks them line by line.

The other modules of this package have one kind of detection each. This module runs them in order over a text. A module
that finds a secret replaces it by a mask, and the later modules skip the mask. Every part takes linear time.
"""

from __future__ import annotations

import re

from core.text import (
    masked_line_brackets,
    multiline_secrets,
    named_secrets,
    positional_secrets,
    private_keys,
    secret_commands,
    secret_formats,
    secret_headers,
    secret_sentences,
    secret_urls,
)
from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later
from core.text.secret_pattern import SecretPattern, by_regex
from core.text.secret_search_limit import SecretSearchLimit

PATTERNS: tuple[SecretPattern, ...] = (
    secret_formats.AWS_PAIR,
    *secret_headers.PATTERNS,
    *secret_urls.PATTERNS,
    *secret_commands.PATTERNS,
    *positional_secrets.PATTERNS,
    SecretPattern(hints=named_secrets.HINTS, find=named_secrets.mask_named),
    SecretPattern(hints=("->",), find=named_secrets.mask_replaced),
    *secret_sentences.PATTERNS,
    # The code that makes somebody the first admin; see bot.access.first_admin.
    by_regex("claim", compile_later(r"\b(claim[ \t]{1,4})[0-9a-f]{32}(?![0-9a-f])", re.IGNORECASE), rf"\1{MASK}"),
    *secret_formats.PATTERNS,
)
_ALL_HINTS = {*private_keys.HINTS, *(hint for pattern in PATTERNS for hint in pattern.hints)}
_KEY_HINTS = frozenset({"akia", "asia", "secret"})
# A line that ends with such a name announces a secret in the next line that is not empty.
_ANNOUNCES = compile_later(
    r"(?:pass(?:word|phrase|code)|api key|access key|secret key|token)\b[^\n:]{0,100}(?:"
    r"\([^)\n]{0,100}\)[^\n:]{0,20})?:\s*$",
    re.IGNORECASE,
)
_ANNOUNCED = compile_later(r"(\s*)(?=\S{0,127}[0-9+/=_*!#$%^&-])(?![\w-]*:)[^\s:]{8,128}(?=\s*$)")
_NAME_LINE = compile_later(
    rf"(?:^|(?<=[\s|]))-?[ \t]*[\"']?(?:name|key|field)[\"']?:\s*[\"']?[\w.-]{{0,64}}?"
    rf"{named_secrets.CORE}[\w.-]{{0,24}}[\"']?,?\s*$",
    re.IGNORECASE,
)
_VALUE_LINE = compile_later(
    r"^((?:[^|\n]{0,80}\|)?\s*[\"']?value[\"']?:\s*)(?![|>]?-?\s*$)(\"(?:[^\"\\]|\\.)*+\"?|'[^']*+'?"
    r"|[^\s,]\S*?)(,?\s*)$",
    re.IGNORECASE,
)


def mask_secrets(text: str, limit: SecretSearchLimit | None = None) -> str:
    """Masks the secrets of each line of the text. Raises OutOfTimeError."""
    lowered = text.lower()
    present = {hint for hint in _ALL_HINTS if hint in lowered}
    active = [
        (pattern.find, hints) for pattern in PATTERNS if (hints := tuple(filter(present.__contains__, pattern.hints)))
    ]
    lines = text.split("\n")
    if any(sign in text for sign in multiline_secrets.HINTS) and not present.isdisjoint(named_secrets.HINTS):
        lines = multiline_secrets.mask_blocks(lines)
    if len(lines) > 1 and not present.isdisjoint(_KEY_HINTS):
        lines = multiline_secrets.mask_wrapped_keys(lines)
    before = ""  # the line before, as it was
    for number, given in enumerate(lines):
        if limit is not None:
            limit.check(number)
        line = given
        low = line.lower()
        for find, hints in active:
            for hint in hints:
                if hint in low:
                    masked = find(line)
                    line = masked_line_brackets.restore_brackets(line, masked) if masked != line else line
                    break
        if number and lines[number - 1].endswith((MASK, f"{MASK}\\")):
            line = multiline_secrets.mask_continued(before, line)
        lines[number], before = line, given
    return "\n".join(_mask_announced(lines) if len(lines) > 1 else lines)


def _mask_announced(lines: list[str]) -> list[str]:
    """Masks what a line announces and the next line shows: `Password for elastic:`, `name: DB_PASSWORD`."""
    announced = named = False
    shown: list[str] = []
    for line in lines:
        if announced and line.strip():
            line = _ANNOUNCED.sub(rf"\1{MASK}", line, count=1) if _ANNOUNCED.match(line) else line  # noqa: PLW2901
            announced = False
        elif named:
            line = _VALUE_LINE.sub(rf"\1{MASK}\3", line)  # noqa: PLW2901
        announced = announced or (line.rstrip().endswith(":") and _ANNOUNCES.search(line[-300:]) is not None)
        named = ":" in line and _NAME_LINE.search(line[-200:]) is not None
        shown.append(line)
    return shown
