"""Masks values that have the name of a secret: `DB_PASSWORD=…`, `"apiKey": "…"`, `token => …`, `{Password:… User:bob}`.

A name is compared word by word. So `tokenizer`, `secretary` and `compass` are ordinary words, and `token_count`,
`secretName` and `PASSWORD_FILE` name something that is not secret. A value that only says whether a secret is set, or
where, is not masked (`null`, `required`, `${PASSWORD}`). The scan moves forward only, and everything it looks at around
a name is bounded, so a line costs linear time.
"""

from __future__ import annotations

import re

from core.text import secret_words
from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later
from core.text.secret_pattern import CLOSING_SIGNS

HINTS = (
    *("pass", "pwd", "pw", "secret", "token", "credential", "key", "auth", "psk", "otp", "sess", "mnemonic", "phrase"),
    *("cred", "code", "connect.s"),
)
CORE = (
    r"(?:pass(?:[_-]?word|wort|wd|[_-]?phrase|code)|(?<![A-Za-z])pwd|(?<=[a-z])(?-i:Pwd)|(?<![A-Za-z])pw(?![A-Za-z])"
    r"|(?<=[_-])pass(?![A-Za-z_-])|(?<=[a-z])(?-i:Pass)(?![A-Za-z])|(?<![A-Za-z])pass(?=[ \t]{0,2}=)|(?<![A-Za-z])"
    r"(?-i:pass|creds?)(?=[ \t]{0,2}[:=])"
    r"|(?:"
    + "|".join(secret_words.BEFORE_PASS)
    + r")[_-]?pass(?![a-z])|mot_?de_?passe|masterauth|secret|token|credential"
    r"|(?:" + "|".join(secret_words.BEFORE_KEY) + r")[_-]?key(?=s?(?![a-z]))"
    r"|client[_-]?key[_-]?data|(?<![A-Za-z])psk|(?<![A-Za-z])otp(?![A-Za-z])|(?<![A-Za-z]_)(?<=_)auth(?![A-Za-z])"
    r"|(?<=[A-Z0-9]_)(?-i:AUTH)(?![A-Za-z_])"
    r"|(?:session|sess)[_-]?id|connect\.sid|mnemonic|(?:seed|recovery|backup)[ _-]?(?:phrase|codes?))"
)
_CORE = compile_later(CORE, re.IGNORECASE)
_BEFORE_STEM: dict[str, tuple[str, ...]] = {
    "key": secret_words.BEFORE_KEY,
    "pass": (*secret_words.BEFORE_PASS, "motde", "mot_de"),
    "auth": ("master",),
    "id": ("session", "sess", "connect.s"),
    "phrase": ("seed", "recovery", "backup"),
    "code": ("seed", "recovery", "backup"),
}
_STEM = compile_later(r"pass|pw|secret|token|credential|cred|key|auth|psk|otp|id|mnemonic|phrase|code", re.IGNORECASE)
QUOTE = r"(?:\\{0,7}[\"'`]|&quot;|&#3[49];|%2[27]|\\{1,7}u002[27])"
# `=`, a colon after a quoted name, or a colon before a space or a quote: `vault-secrets:1.2` is an image.
SIGN = (
    rf"(?:{QUOTE}?\]?[ \t]{{0,8}}(?:={{1,3}}>?|:=|%3[dD]|\\{{1,3}}u003[dD])[ \t]{{0,8}}"
    rf"|{QUOTE}\]?[ \t]{{0,8}}(?::{{1,2}}|%3[aA])[ \t]{{0,8}}|::?(?:[ \t]{{1,8}}|(?={QUOTE})))"
)
# What may follow the core of a name: a plural, a number, then further words after a separator or in camel case.
_REST = compile_later(
    r"(?P<plural>[sS]?)(?P<more>[0-9]{0,3}(?:[_.-][\w.-]{0,48}|(?<=[a-z0-9])[A-Z]\w{0,48})?)"
    rf"(?P<sign>{SIGN})"
    # An anchor or a tag of YAML: `password: &shared …`.
    r"(?:(?<=[ \t])(?:&(?!quot;|#)|!!?)[\w-]{1,64}[ \t]{1,4}(?=\S))?"
)
_TIGHT_VALUE = compile_later(r"[^\s,;&\"'})\]]++")
_TIGHT = compile_later(r"[sS]?:(?![:/\s])")
_WORDS = compile_later(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
# An unquoted value ends at white space, or at a delimiter that another `name=` follows.
_VALUE = compile_later(
    r"b?(?:\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|`[^`]*+`?|(?P<escaped>\\{1,7}[\"'])(?:(?!(?P=escaped)).)*+)"
    r"|&(?:quot|\#3[49]);[^&]*+|%2[27][^%\s]*+|\\{1,7}u002[27][^\\\s]*+"
    r"|(?:[^\s,;&]|[,;&](?![\"'\\{ ]{0,4}[\w.-]{1,40}[\"'\\]{0,4} ?[=:]))++"
)
# The quote before a name in an item of a list.
_ITEM = compile_later(r"(?<![\w\\])(\\{0,15}[\"'])[\w.=/ -]{0,60}$")
_OPENING = compile_later(r"b?\\{0,7}[\"'`]|&(?:quot|#3[49]);|%2[27]|\\{1,7}u002[27]")
_PROBE = "Zq7xW2"  # a value that is secret if its name says so
_CLOSING = "\\\"',;`"

_NOT_SECRET = compile_later(
    r"(?:|null|none|nil|<nil>|true|false|yes|no|on|off|undefined|\{|\[|\{\}|\[\]|\(none\)|n/?a|not|unknown"
    r"|required|optional|valid"
    r"|missing|invalid|incorrect|wrong|expired|failed|failure|denied|ok|okay|set|unset|changed|updated"
    r"|enabled|disabled"
    r"|empty|found|rejected|accepted|revoked|rotated|created|deleted|removed|timeout|unauthorized|forbidden|error"
    r"|string|str|bytes|int|bool|any|object|optional\[str\]"
    r"|redacted|masked|hidden|filtered|omitted"
    r"|[<(\[](?:redacted|masked|hidden|sensitive|filtered|secret|set|unset|unknown|none|omitted|not set"
    r"|removed)[>)\]]"
    r"|\*{3,}|x{4,}|•+(?:\\{0,15}[\"'`]|[\])},;])*+|-{3,}|\.{3}|…|[|>][-+]?|!\w+|\$\{[^}]*\}?.{0,2}|\$\([^)]*\)?|\$[A-Z_][A-Z0-9_]+|\{\{.*"
    r"|<[a-z][a-z0-9 _-]*>|%[A-Z_]+%"
    r"|SecretStr\(.*)",
    re.IGNORECASE | re.DOTALL,
)
_LAST_WORD = compile_later(r"(?:[A-Z]?[a-z]+|[A-Z]+)$")
_NOT_A_TOKEN = compile_later(rf"(?:{'|'.join(secret_words.NOT_A_TOKEN)}){{1,3}}", re.IGNORECASE)
_QUANTITY = compile_later(r"[+-]?[0-9]{1,7}(?:\.[0-9]{1,6})?(?:ms|us|s|m|h|d|w|%|k|ki?b|mi?b|gi?b)?", re.IGNORECASE)
_MIXED = compile_later(r"[0-9].*[A-Za-z]|[A-Za-z].*[0-9]")
_WORD = compile_later(r"[a-z]{2,20}")
_NEXT_WORD = compile_later(r"[ \t](?:[a-z][a-z0-9'-]{0,20}(?![\w=:@])|/)")
_REPLACED = compile_later(r"(•\"[ \t]{0,4}->[ \t]{0,4}\")[^\"\n]{1,4096}+")
_NAME = compile_later(r"[\w./-]+:")
_CALL = compile_later(
    r"(?:await|new|yield|return|function|async|lambda)|[A-Za-z_][\w.]{0,60}\([^()]{0,200}\)[;,)]{0,3}"
)
_COMPLAINT = compile_later(
    r"(?:invalid|bad|wrong|incorrect|weak|no|missing|empty|expired|check|verif\w+|validat\w+|pars\w+|read\w*|get\w*"
    r"|decod\w+|fetch\w*|load\w*|rotat\w+|refresh\w*|renew\w*|obtain\w*|the|new)[ \t]{1,2}$",
    re.IGNORECASE,
)
_IMAGE_TAG = compile_later(r"v?[0-9]+(?:\.[0-9]+){1,3}\S*|latest|stable|edge|main|master", re.IGNORECASE)
_PASS_PHRASE = compile_later(
    rf"(?:[A-Za-z]{{2,12}}[ \t-]){{3,30}}[A-Za-z]{{2,12}}(?=[.,]?\s*$|\\{{0,7}}[|{CLOSING_SIGNS}]|\\{{1,7}}[nr])"
)
_PHRASE = compile_later(r"pass[_-]?phrase|mnemonic|phrase$", re.IGNORECASE)


def mask_named(line: str) -> str:
    """Masks every value in the line whose name says that it is secret."""
    parts: list[str] = []
    done = at = 0
    while (core := _next_core(line, at)) is not None:
        at = core.end()
        if (rest := _REST.match(line, at)) is not None:
            start = rest.end()
            value = _secret_value(line, core, rest)
        elif (tight := _TIGHT.match(line, at)) is not None:
            start = tight.end()
            value = _tight_value(line, core, start)
        else:
            continue
        if value is None:
            continue
        parts += [line[done:start], value[0]]
        done = at = value[1]
    return "".join([*parts, line[done:]]) if parts else line


def _next_core(line: str, at: int) -> re.Match[str] | None:
    # A stem is found much faster than a core, and every core contains one.
    while (stem := _STEM.search(line, at)) is not None:
        start, end = stem.span()
        if (core := _CORE.match(line, start)) is not None:
            return core
        before = line[max(at, start - 14) : start].lower().rstrip("_- ")
        if before.endswith(_BEFORE_STEM.get(stem[0].lower(), ())):
            core = _CORE.search(line, max(at, start - 14), end + 24)
            if core is not None and core.end() >= end:
                return core
        at = start + 1
    return None


def may_be_secret_name(name: str) -> bool:
    """Whether `is_secret_name` may be true. This is much faster."""
    lowered = name.lower()
    return any(hint in lowered for hint in HINTS)


def mask_replaced(line: str) -> str:
    """Masks the new value in `password = "••••" -> "…"`, as Terraform shows a change."""
    return _REPLACED.sub(rf"\1{MASK}", line)


def is_secret_name(name: str) -> bool:
    """Whether a value with exactly this name is secret, such as `db_password`."""
    return mask_named(f"{name}={_PROBE}") == f"{name}={MASK}"


def is_secret(name: str, value: str) -> bool:
    """Whether this whole value is secret because of its name, as in one field of a document."""
    return may_be_secret_name(name) and is_secret_name(name) and mask_named(f'{name}="{value}"') != f'{name}="{value}"'


def _secret_value(line: str, core: re.Match[str], rest: re.Match[str]) -> tuple[str, int] | None:
    """Returns the masked value and where the value ends, or None if it is not secret."""
    words = [word.lower() for word in _WORDS.findall(rest["more"])]
    if words and words[-1] in secret_words.HARMLESS:
        return None
    name, sign = core[0].lower(), rest["sign"]
    # By whole words: `next_token` is a place in a list, and `admin_token` is a secret, although it ends in `min_token`.
    before = _LAST_WORD.search(line[max(0, core.start() - 24) : core.start()].rstrip("_-"))
    if name == "token" and before is not None and _NOT_A_TOKEN.fullmatch(before[0]):
        return None
    if _PHRASE.search(name) and (value := _phrase_value(line, rest.end())) is not None:
        return value
    found = _VALUE.match(line, rest.end())
    if found is None:
        return None
    shown = _within_quotes(line, core.start(), found[0])
    opening, inner, closing = _split(shown)
    if not opening and ":" in sign and inner.endswith(":") and _NAME.fullmatch(inner):
        return None  # another name: `secrets.yaml: db_password: …`
    bare = inner.rstrip(",;)]}.") if not opening else inner
    counts = name == "token" or any(word.isalpha() for word in words)
    if _NOT_SECRET.fullmatch(inner.rstrip(",;")) or _is_harmless(name, bare, counts=counts, colon=":" in sign):
        return None
    if inner.startswith(("[", "{")) and not opening:
        return _list_value(line, core, rest, inner)
    if not opening and "= " in sign and _CALL.fullmatch(shown):
        return None  # program code: token = await fetch()
    if not opening and ":" in sign and _is_prose(line, core, found):
        return None
    return f"{opening}{MASK}{closing}", rest.end() + len(shown)


def _within_quotes(line: str, name: int, value: str) -> str:
    """Returns the part of an unquoted value that is in the same item of a list as its name: `"PASSWORD=x","run"`."""
    around = _ITEM.search(line[max(0, name - 80) : name])
    if around is None or around[1] not in value:
        return value
    end = re.search(rf"{re.escape(around[1])}(?=[ \t]{{0,4}},[ \t]{{0,4}}{re.escape(around[1])})", value)
    return value[: end.end()] if end is not None and end.start() else value


def _is_harmless(name: str, value: str, *, counts: bool, colon: bool) -> bool:
    """Whether a value shows no secret: it only says whether something is set, or it is a directory or a number."""
    if _NOT_SECRET.fullmatch(value) or (counts and _QUANTITY.fullmatch(value)):
        return True  # password: required, max_tokens=4096
    if name.endswith("pwd"):
        return value.startswith("/")  # the working directory
    if name not in ("pass", "cred", "creds"):
        return False
    if colon:
        return value.startswith("/") or not _MIXED.search(value[:200])  # pass: 3, creds: loaded
    return value.isdigit() and len(value) <= 6  # pass=3 fail=0


def _split(value: str) -> tuple[str, str, str]:
    """Splits a value into its opening quote, its inside and what closes it."""
    match = _OPENING.match(value)
    opening = match[0] if match else ""
    quote = opening.removeprefix("b")
    if opening and len(value) >= len(opening) + len(quote) and value.endswith(quote):
        return opening, value[len(opening) : len(value) - len(quote)], quote
    if opening and value.endswith(quote[-1]) and len(value) > len(opening):
        return opening, value[len(opening) : -1], quote[-1]
    if opening:
        return opening, value[len(opening) :], ""
    # A quote that was not opened here closes a quote around the whole: "NAME=value",
    inner = value.rstrip(_CLOSING)
    return "", value if not inner else inner + value[len(inner) :], value[len(inner) :]


def _list_value(line: str, core: re.Match[str], rest: re.Match[str], inner: str) -> tuple[str, int] | None:
    """Masks a list of secrets. A list after `secrets` or `credentials` has their names, as in a compose file."""
    if inner.startswith("{") or core[0].lower() in ("secret", "credential"):
        return None
    end = line.find("]", rest.end(), rest.end() + 4_000)
    return f"[{MASK}]", end + 1 if end >= 0 else len(line)


def _is_prose(line: str, core: re.Match[str], found: re.Match[str]) -> bool:
    """Whether `token: illegal base64 data` is a sentence about a secret."""
    if not _WORD.fullmatch(found[0]) or _NEXT_WORD.match(line, found.end()) is None:
        return False
    if not core[0].lower().startswith(("pass", "pwd", "pw")) or found[0] in secret_words.WORDS_AFTER_SECRET:
        return True
    return _COMPLAINT.search(line[max(0, core.start() - 24) : core.start()]) is not None


def _phrase_value(line: str, start: int) -> tuple[str, int] | None:
    """Returns a pass phrase of several words: all up to the end of the line."""
    words = _PASS_PHRASE.match(line, start)
    return None if words is None else (MASK, words.end())


def _tight_value(line: str, core: re.Match[str], start: int) -> tuple[str, int] | None:
    """Returns the value in `password:hunter2` or, inside brackets, in `token:abc`."""
    before = line[core.start() - 1 : core.start()] if core.start() else ""
    name = core[0].lower()
    value = _TIGHT_VALUE.match(line, start)
    if value is None or _NOT_SECRET.fullmatch(value[0]) or before in ("/", "@"):
        return None
    around = line[max(0, start - 400) : start]
    inside = around.rfind("{") > around.rfind("}") or around.rfind("[") > around.rfind("]")
    strong = name.startswith("pass") or name.endswith("key")
    if before in (".", "-", "_") or before.isalnum():
        strong = strong and inside and not _IMAGE_TAG.fullmatch(value[0])
    likely = inside and len(value[0]) >= 6 and not _IMAGE_TAG.fullmatch(value[0])
    return (MASK, value.end()) if strong or likely else None
