"""What secrets look like: by name, by place, by their own shape. One line in, the line with its secrets masked out;
private keys, which span lines, have a door of their own. Every pattern is anchored or bounded: none can run away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MASK = "••••"
PRIVATE_KEY_HINT = "private key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPattern:
    """`hints` are lower case; without one of them in the lowered line the pattern cannot match."""

    hints: Sequence[str]
    pattern: re.Pattern[str]
    mask: Callable[[re.Match[str]], str] | str


def may_contain_secret(lowered: str) -> bool:
    """Whether anything in this lower-case text could be a secret."""
    return any(hint in lowered for hint in _HINTS)


def mask_secrets(line: str) -> str:
    """One line with its secrets masked."""
    lowered = line.lower()
    for rule in PATTERNS:
        for hint in rule.hints:
            if hint in lowered:
                line = rule.pattern.sub(rule.mask, line)
                break
    return line


def mask_private_keys(text: str) -> str:
    """Private keys masked from BEGIN to END; where one end is cut off, the lines near the other that look like one."""
    parts: list[str] = []
    at, inside = 0, False
    for marker in _MARKER.finditer(text):
        between, begins = text[at : marker.start()], marker[1] == "BEGIN"
        if inside and not begins:
            parts.append(MASK if between.strip() else between)
        elif inside or not begins:
            parts.append(_without_body(between))
        else:
            parts.append(between)
        parts.append(marker[0])
        at, inside = marker.end(), begins
    rest = text[at:]
    parts.append(_without_body(rest) if inside else rest)
    return "".join(parts)


def unclosed_key_marker(text: str) -> str:
    """The marker of a private key that begins in this text and does not end there, or nothing."""
    markers = list(_MARKER.finditer(text))
    return markers[-1][0] if markers and markers[-1][1] == "BEGIN" else ""


def _without_body(text: str) -> str:
    """Without the lines that look like the body of a key: long runs of base64, and the short one that ends them."""
    kept: list[str] = []
    running = False
    for line in text.split("\n"):
        body = _BODY.search(line) or (_LAST_BODY.search(line) if running else None)
        if body is None:
            kept.append(line)
        elif not running:
            kept.append(line[: body.start()] + MASK)
        running = body is not None
    return "\n".join(kept)


# BEGIN and END are the whole marker; the body is 64 characters a line, or one line with the two characters \n between.
_MARKER = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(r"(?<![^\s])(?:\\[nr])*+[A-Za-z0-9+/]{40,}+={0,2}(?:\\[nr]\S*+)?(?![^\s\"',])")
_LAST_BODY = re.compile(r"(?<![^\s])[A-Za-z0-9+/]{1,63}+={0,2}\s*$")

# ── by name ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_NAME = (
    r"(?:pass(?:word|wd|phrase|code)|(?<![a-z])pwd|(?<=[_-])pass(?![a-z_-])"
    r"|secret|token|credentials?"
    r"|(?:api|access|private|secret|encryption|signing|master|auth|account|session|license)[_-]?key)"
)
# What follows a name and makes it harmless: where a secret lies, how long it lives, how many there are.
_HARMLESS = (
    r"(?![a-z0-9_-]{0,16}?(?:files?|path|dir|count|limit|name|type|ttl|length|timeout|expiry|expires|endpoint|policy"
    r"|enabled|required)[\"']?[ \t]{0,4}[=:])"
)
# `=`, a colon behind a quoted name, or a colon with space behind it: `vault-secrets:1.2` is an image.
_SIGN = r"\\{0,3}[\"']?[ \t]{0,4}(?:=>|:=|=(?!=))[ \t]{0,4}|\\{0,3}[\"'][ \t]{0,4}:[ \t]{0,4}|:[ \t]{1,4}"
# An unquoted value ends at white space, or at a delimiter behind which another `name=` begins.
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
# Values that say whether something is set, which is worth knowing and no secret.
_CLOSING = "\\\"',;"
_TELLING = frozenset(
    {"", "null", "none", "nil", "<nil>", "true", "false", "yes", "no", "undefined", "{", "[", "{}", "[]"}
)


def _mask_named(match: re.Match[str]) -> str:
    name, value = match["name"].lower(), match["value"]
    opening = value[: len(value) - len(value.lstrip("\\\"'"))][:4]
    closing = value[-1] if opening and len(value) > len(opening) and value[-1] == opening[-1] else ""
    inner = value[len(opening) : len(value) - len(closing)]
    if inner.rstrip(",;").lower() in _TELLING:
        return match[0]
    if name == "pwd" and inner.startswith("/"):
        return match[0]  # the working directory
    if name == "token" and len(inner) <= 7 and inner.rstrip(",;.").isdigit():
        return match[0]  # a count: max_tokens=4096
    # A quote that was not opened here closes what stands around it: "NAME=value",
    closing = closing if opening else inner[len(inner.rstrip(_CLOSING)) :]
    return f"{match['name']}{match['sign']}{opening}{MASK}{closing}"


# ── by place and shape ───────────────────────────────────────────────────────────────────────────────────────────────

_URL = re.compile(r"(://[^\s/:@\"']{0,256}+:)([^\s/\"']{1,512})(?=@)")
_URL_TOKEN = re.compile(r"(://)[^\s/:@\"'•]{20,512}(?=@)")
_HOOK = re.compile(r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9/_-]++")
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?")
# (prefix that stays, what follows it); each starts at the beginning of a run, so that a run is read once.
_SHAPES = (
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
    + "|".join(f"(?:(?P<p{at}>{start}){rest})" for at, (start, rest) in enumerate(_SHAPES))
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
_ALL_HINTS = {PRIVATE_KEY_HINT, *(hint for rule in PATTERNS for hint in rule.hints)}
# A hint that holds another one need not be looked for.
_HINTS = tuple(hint for hint in sorted(_ALL_HINTS) if not any(other in hint for other in _ALL_HINTS - {hint}))
