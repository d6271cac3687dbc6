"""Detects secrets and masks them line by line.

Secrets are detected by the name before them (`password=…`), by their position (the part between `user:` and `@host`,
the value after `--password`) and by their own format (`xoxb-…`).

Private keys span several lines; separate functions mask them. Every pattern is anchored or bounded, so none takes more
than linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.text.known_secrets import MASK

PRIVATE_KEY_HINT = "private key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPattern:
    """One kind of secret. `hints` are lower case; the pattern can only match a line that contains one of them."""

    hints: Sequence[str]
    pattern: re.Pattern[str]
    mask: Callable[[re.Match[str]], str] | str


def may_contain_secret(lowered: str) -> bool:
    """Whether this lower-case text could contain a secret; a cheap test before the patterns."""
    return any(hint in lowered for hint in _HINTS)


def mask_secrets(line: str) -> str:
    """Masks the secrets of one line."""
    lowered = line.lower()
    for pattern in PATTERNS:
        for hint in pattern.hints:
            if hint in lowered:
                line = pattern.pattern.sub(pattern.mask, line)
                break
    return line


def mask_private_keys(text: str) -> str:
    """Masks private keys from BEGIN to END. If one marker is missing, masks the lines next to the other one that look
    like a key."""
    parts: list[str] = []
    at, inside = 0, False
    for marker in _MARKER.finditer(text):
        between, begins = text[at : marker.start()], marker[1] == "BEGIN"
        if inside and not begins:
            parts.append(MASK if between.strip() else between)
        elif inside or not begins:
            parts.append(_mask_key_body(between))
        else:
            parts.append(between)
        parts.append(marker[0])
        at, inside = marker.end(), begins
    rest = text[at:]
    parts.append(_mask_key_body(rest) if inside else rest)
    return "".join(parts)


def unclosed_key_marker(text: str) -> str:
    """Returns the BEGIN marker of a private key that does not end in this text, or an empty string."""
    markers = list(_MARKER.finditer(text))
    return markers[-1][0] if markers and markers[-1][1] == "BEGIN" else ""


def _mask_key_body(text: str) -> str:
    """Masks lines that look like the body of a key: long base64 runs, and the short last one."""
    lines: list[str] = []
    running = False
    for line in text.split("\n"):
        body = _BODY.search(line) or (_LAST_BODY.search(line) if running else None)
        if body is None:
            lines.append(line)
        elif not running:
            lines.append(line[: body.start()] + MASK)
        running = body is not None
    return "\n".join(lines)


# BEGIN and END are complete markers; the body has 64 characters a line, or is one line with literal \n in between.
_MARKER = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(r"(?<![^\s])(?:\\[nr])*+[A-Za-z0-9+/]{40,}+={0,2}(?:\\[nr]\S*+)?(?![^\s\"',])")
_LAST_BODY = re.compile(r"(?<![^\s])[A-Za-z0-9+/]{1,63}+={0,2}\s*$")

# ── by name ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_NAME = (
    r"(?:pass(?:word|wd|phrase|code)|(?<![a-z])pwd|(?<=[_-])pass(?![a-z_-])"
    r"|secret|token|credentials?"
    r"|(?:api|access|private|secret|encryption|signing|master|auth|account|session|license)[_-]?key)"
)
# What makes a name harmless when it follows: the path of a secret, its lifetime, a count.
_HARMLESS = (
    r"(?![a-z0-9_-]{0,16}?(?:files?|path|dir|count|limit|name|type|ttl|length|timeout|expiry|expires|endpoint|policy"
    r"|enabled|required)[\"']?[ \t]{0,4}[=:])"
)
# `=`, a colon after a quoted name, or a colon before a space: `vault-secrets:1.2` is an image.
_SIGN = r"\\{0,3}[\"']?[ \t]{0,4}(?:=>|:=|=(?!=))[ \t]{0,4}|\\{0,3}[\"'][ \t]{0,4}:[ \t]{0,4}|:[ \t]{1,4}"
# An unquoted value ends at white space, or at a delimiter that another `name=` follows.
_VALUE = (
    r"\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|\\{1,3}\"[^\"\\]*+"
    r"|(?:[^\s,;&]|[,;&](?![\"'\\{ ]{0,4}[\w.-]{1,40}[\"'\\]{0,4} ?[=:]))++"
)
_NAMED = re.compile(
    rf"(?P<name>{_NAME}){_HARMLESS}(?P<sign>[a-z0-9_-]{{0,32}}+(?:{_SIGN}))(?P<value>{_VALUE})", re.IGNORECASE
)
_TIGHT = re.compile(
    r"(?<![\w/.@-])(pass(?:word|wd|phrase)|(?:api|access|secret)[_-]?key)(:)(?!//)([^\s,;&\"']++)", re.IGNORECASE
)
_FLAG = re.compile(
    rf"(?<!-)(--(?:[a-z0-9]{{1,20}}-){{0,4}}{_NAME}{_HARMLESS}[a-z0-9]{{0,16}}(?:-[a-z0-9]{{1,16}}){{0,2}}[ \t]{{1,4}})"
    r"(\"[^\"]*+\"?|'[^']*+'?|[^\s-]\S*+)",
    re.IGNORECASE,
)
_SCHEME = re.compile(
    r"((?:authorization)\\{0,3}[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}[\"']?)"
    r"((?:bearer|basic|token|apikey|negotiate)[ \t]{1,4})?(?:digest[ \t][^\n]++|[^\s\"'\\]++)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer[ \t]{1,4})(?=[a-z._~+/=-]*+[0-9])[a-z0-9._~+/=-]{8,}+", re.IGNORECASE)
_COOKIE = re.compile(r"((?:set-)?cookie\\{0,3}[\"']?:[ \t]{0,4})\S[^\n]*+", re.IGNORECASE)
# Values that only show whether something is set; useful, and not secret.
_CLOSING = "\\\"',;"
_NOT_SECRET = frozenset(
    {"", "null", "none", "nil", "<nil>", "true", "false", "yes", "no", "undefined", "{", "[", "{}", "[]"}
)


def _mask_named(match: re.Match[str]) -> str:
    name, value = match["name"].lower(), match["value"]
    opening = value[: len(value) - len(value.lstrip("\\\"'"))][:4]
    closing = value[-1] if opening and len(value) > len(opening) and value[-1] == opening[-1] else ""
    inner = value[len(opening) : len(value) - len(closing)]
    if inner.rstrip(",;").lower() in _NOT_SECRET:
        return match[0]
    if name == "pwd" and inner.startswith("/"):
        return match[0]  # the working directory
    if name == "token" and len(inner) <= 7 and inner.rstrip(",;.").isdigit():
        return match[0]  # a count: max_tokens=4096
    # A quote that was not opened here closes a quote around the whole: "NAME=value",
    closing = closing if opening else inner[len(inner.rstrip(_CLOSING)) :]
    return f"{match['name']}{match['sign']}{opening}{MASK}{closing}"


# ── by position and format ───────────────────────────────────────────────────────────────────────────────────────────

_URL = re.compile(r"(://[^\s/:@\"']{0,256}+:)([^\s/\"']{1,512})(?=@)")
_URL_TOKEN = re.compile(r"(://)[^\s/:@\"'•]{20,512}(?=@)")
_HOOK = re.compile(r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9/_-]++")
# The code that makes somebody the first admin; see bot.access.first_admin.
_CLAIM = re.compile(r"\b(claim[ \t]{1,4})[0-9a-f]{32}(?![0-9a-f])", re.IGNORECASE)
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?")
# (prefix that remains visible, the secret after it); each matches only at the start of a run, so a run is read once.
_FORMATS = (
    (r"gh[opsur]_", r"[A-Za-z0-9]{20,}"),
    (r"github_pat_", r"\w{20,}"),
    (r"gl(?:pat|rt)-", r"[\w-]{16,}"),
    (r"xox[abeoprs]-", r"[\w-]{10,}"),
    (r"xapp-", r"[\w-]{10,}"),
    (r"sk-(?:proj|svcacct|admin|ant|or-v1)-", r"[\w-]{16,}"),
    (r"sk-", r"[A-Za-z0-9]{32,}"),
    (r"(?:AKIA|ASIA)", r"[A-Z0-9]{16}(?![A-Z0-9])"),
    (r"AIza", r"[\w-]{30,}"),
    (r"ya29\.", r"[\w-]{20,}"),
    (r"hf_", r"[A-Za-z0-9]{30,}"),
    (r"npm_", r"[A-Za-z0-9]{30,}"),
    (r"pypi-AgE", r"[\w-]{16,}"),
    (r"dckr_(?:pat|oat)_", r"[\w-]{20,}"),
    (r"SG\.", r"[\w-]{16,}\.[\w-]{16,}"),
    (r"(?:[rps]k_(?:live|test)|whsec)_", r"[A-Za-z0-9]{16,}"),
    (r"hvs\.", r"[\w-]{20,}"),
    (r"AGE-SECRET-KEY-", r"[A-Z0-9]{20,}"),
    (r"SWMTKN-1-", r"[a-z0-9-]{20,}"),
)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    + "|".join(f"(?:(?P<p{at}>{start}){rest})" for at, (start, rest) in enumerate(_FORMATS))
    + ")",
    re.ASCII,
)


def _mask_token(match: re.Match[str]) -> str:
    return f"{match[match.lastgroup or 0]}{MASK}"


PATTERNS = (
    SecretPattern(hints=("authorization",), pattern=_SCHEME, mask=rf"\1\2{MASK}"),
    SecretPattern(hints=("bearer",), pattern=_BEARER, mask=rf"\1{MASK}"),
    SecretPattern(hints=("cookie",), pattern=_COOKIE, mask=rf"\1{MASK}"),
    SecretPattern(hints=("://",), pattern=_URL, mask=rf"\1{MASK}"),
    SecretPattern(hints=("://",), pattern=_URL_TOKEN, mask=rf"\1{MASK}"),
    SecretPattern(
        hints=("pass", "pwd", "secret", "token", "credential", "key"),
        pattern=_NAMED,
        mask=_mask_named,
    ),
    SecretPattern(hints=("pass", "key:"), pattern=_TIGHT, mask=rf"\1\2{MASK}"),
    SecretPattern(hints=("--",), pattern=_FLAG, mask=rf"\1{MASK}"),
    SecretPattern(hints=("claim",), pattern=_CLAIM, mask=rf"\1{MASK}"),
    SecretPattern(hints=("hooks.slack.com/",), pattern=_HOOK, mask=rf"\1{MASK}"),
    SecretPattern(hints=("eyj",), pattern=_JWT, mask=MASK),
    SecretPattern(
        hints=(
            *("ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "glrt-"),
            *("xox", "xapp-", "sk-", "akia", "asia", "aiza", "ya29.", "hf_", "npm_", "pypi-age", "dckr_", "sg."),
            *("k_live_", "k_test_", "whsec_", "hvs.", "age-secret-key-", "swmtkn-"),
        ),
        pattern=_TOKEN,
        mask=_mask_token,
    ),
)
_ALL_HINTS = {PRIVATE_KEY_HINT, *(hint for pattern in PATTERNS for hint in pattern.hints)}
# A hint that contains another hint is redundant.
_HINTS = tuple(hint for hint in sorted(_ALL_HINTS) if not any(other in hint for other in _ALL_HINTS - {hint}))
