"""Masks the secrets of this process itself: its configured tokens and passwords, and the first admin's claim code.

`core.text.redact` recognises most secrets by their form. A password such as `correct horse` has no special form, so
this module masks it by its value, in every text. Each secret is also masked in base64 (alone, or as in
`user:password`), as hexadecimal digits, in a URL (percent-encoded) and in JSON. Values shorter than `MIN_LENGTH` are
not masked, because they are parts of ordinary words. A secret is never forgotten: after a reload, the old token is
still masked. Logins of registries are an exception, because some helpers create a new one for each pull: only the
newest MAX_RECENT are stored.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.parse
from collections import deque
from collections.abc import Iterable

MASK = "••••"
MIN_LENGTH = 6  # characters; a shorter value is masked only where its name or position shows that it is secret
# From this length on, a value is masked inside a longer word too.
MIN_LENGTH_ANYWHERE = 12
MAX_RECENT = 16

_lock = threading.Lock()
_spellings: frozenset[str] = frozenset()
_recent: deque[tuple[str, frozenset[str]]] = deque(maxlen=MAX_RECENT)
_ordered: tuple[tuple[str, re.Pattern[str]], ...] = ()


def add_known_secrets(values: Iterable[str]) -> None:
    """Masks these values from now on, for as long as this process runs. Of a URL, its password is the secret."""
    global _spellings  # noqa: PLW0603 (what this process must not show is a property of the process)
    found = {spelling for value in values for secret in _secrets_in(value) for spelling in _all_spellings(secret)}
    with _lock:
        _spellings |= found
        _order()


def remember_recent(secret: str) -> None:
    """Masks a secret until MAX_RECENT other ones were remembered in this way."""
    with _lock:
        if not any(secret == each for each, _ in _recent):
            _recent.append((secret, frozenset(_all_spellings(secret))))
            _order()


def forget_all() -> None:
    """Masks nothing any more. For tests, which run in one process."""
    global _spellings  # noqa: PLW0603 (as in `add_known_secrets`)
    with _lock:
        _spellings = frozenset()
        _recent.clear()
        _order()


def mask_known(text: str) -> str:
    """Masks every remembered secret in the text."""
    for spelling, pattern in _ordered:
        if spelling in text:
            text = pattern.sub(MASK, text)
    return text


def _order() -> None:
    global _ordered  # noqa: PLW0603 (as in `add_known_secrets`)
    every = _spellings.union(*(spellings for _, spellings in _recent))
    longest_first = sorted(every, key=lambda spelling: (-len(spelling), spelling))
    _ordered = tuple((spelling, _pattern(spelling)) for spelling in longest_first)


def _secrets_in(value: str) -> set[str]:
    if "://" not in value:
        return {value.strip()}
    # Everything between the first colon of the user information and the last @ of the authority.
    authority = re.split(r"[/?#]", value.partition("://")[2], maxsplit=1)[0]
    password = authority.rpartition("@")[0].partition(":")[2]
    return {password, urllib.parse.unquote(password)}


def _all_spellings(secret: str) -> set[str]:
    if len(secret) < MIN_LENGTH:
        return set()
    raw = secret.encode(errors="surrogateescape")
    return {
        secret,
        urllib.parse.quote(secret, safe="", errors="surrogateescape", encoding="utf-8"),
        urllib.parse.quote_plus(secret, errors="surrogateescape", encoding="utf-8"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        *(raw.hex(), raw.hex().upper()),
        *(inside for start in (0, 1, 2) if len(inside := _inside_base64(raw, start)) >= MIN_LENGTH_ANYWHERE),
    }


def _inside_base64(raw: bytes, start: int) -> str:
    """Returns the characters that all base64 has in common in which these bytes begin at `start` modulo 3."""
    encoded = base64.b64encode(bytes(start) + raw).decode().rstrip("=")
    return encoded[(0, 2, 3)[start] : len(encoded) if (start + len(raw)) % 3 == 0 else -1]


def _pattern(spelling: str) -> re.Pattern[str]:
    literal = re.escape(spelling)
    return re.compile(literal if len(spelling) >= MIN_LENGTH_ANYWHERE else rf"(?<![A-Za-z0-9]){literal}(?![A-Za-z0-9])")
