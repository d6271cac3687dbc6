"""Masks secrets in sentences (`the password for bob is …`), in tables, in XML and in pairs of name and value.

Every quantifier is bounded or possessive, and text that one attempt to match has read is not read again by an attempt
that begins inside it. So a line costs linear time.
"""

from __future__ import annotations

import re

from core.text import named_secrets, secret_words
from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later
from core.text.secret_pattern import CLOSING_SIGNS, OPENING_SIGNS, SecretPattern, by_regex

_LEAD = (
    r"(?P<lead>\b(?:(?P<strong>pass(?:word|wd|phrase|code))s?|(?:api|access|secret|private|unseal|unlock|recovery"
    r"|license)[ -]?key"
    r"|(?:(?:access|root|api|auth|join|bearer) )?token|credentials)\b(?P<middle>(?:[^\n.;=:]|[.:](?=\w)){0,100}?)"
)
_QUOTED = r"\"[^\"\n]{1,256}+\"?|'[^'\n]{1,256}+'?|`[^`\n]{1,256}+`?|“[^”\n]{1,256}+”?"
_IS = compile_later(
    rf"{_LEAD}[ \t](?:is|was|are|(?:re)?set to|changed to|updated to|rotated to)(?:[ \t](?:now|set to|changed to"
    rf"|reset to))?:?"
    rf"[ \t]{{1,4}})(?P<value>{_QUOTED}|[^\s\"']\S*+)",
    re.IGNORECASE,
)
_COLON = compile_later(rf"{_LEAD}:[ \t]{{1,8}})(?P<value>{_QUOTED}|[^\s\"']\S*+)", re.IGNORECASE)
_OF = compile_later(rf"{_LEAD}[ \t]of[ \t])(?P<value>{_QUOTED})", re.IGNORECASE)
_UNIT = compile_later(
    r"[ \t]+(?:char|digit|byte|bit|letter|word|day|hour|minute|second|month|week|year|time|attempt|tr(?:y|ies)"
    r"|user|token|secret|key|percent|%|of)",
    re.IGNORECASE,
)
# `log in with password abc123`: only letters and digits together are no word of the sentence.
_WITH = compile_later(
    r"(\b(?:with|and|using|has)[ \t](?:the[ \t])?(?:password|passphrase|passwd)[ \t]{1,4})"
    r"(?=[^\s:]{0,64}[0-9])(?=[^\s:]{0,64}[A-Za-z])[^\s:\"']{6,128}+(?<![.,;])",
    re.IGNORECASE,
)
_API_KEY = compile_later(
    r"(\bapi[ _-]?key[ \t]{1,4})(?=[\w-]{0,64}[0-9])(?=[\w-]{0,64}[A-Za-z])[\w-]{16,256}+(?![\w.])", re.IGNORECASE
)
_END = compile_later(r"\s*+\Z")
_CODE = compile_later(
    r"(\b(?:PIN|OTP|one-time (?:code|password|passcode)|verification code|security code|2FA code|MFA code"
    r"|login code)\b(?:[ \t](?:code|for \S{1,64}))?[ \t]?(?:is|:|=)[ \t]{0,4})[0-9]{4,8}\b",
    re.IGNORECASE,
)
_MARKUP = compile_later(
    r"(<(?P<tag>[\w:.-]{0,40}(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credential)s?[\w.-]{0,24}+)(?:\s[^>\n]{0,200})?>(?:<!\[CDATA\[)?)(?P<value>[^<\n]{1,4096}+)(?=</)",
    re.IGNORECASE,
)
_PAIR = compile_later(
    r"((?:name|key|field|var)\\{0,3}[\"']?\s?[:=]\s?\\{0,3}[\"']?[\w.:-]{0,64}?(?:pass(?:word|wd|phrase)?|pwd"
    r"|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key|credential)s?[\w."
    r"-]{0,24}\\{0,3}[\"']?\s?[,;]?\s{0,4}"
    r"\\{0,3}[\"']?value\\{0,3}[\"']?\s?[:=]\s?\\{0,3}[\"'])(?:[^\"'\\\n]){1,4096}+",
    re.IGNORECASE,
)
_COLUMN = (
    r"(?:[\w.-]{0,32}[_.-])?(?:password|passwd|passphrase|secret(?:_id|_key|_access_key)?"
    r"|(?:client_|root_|access_|unseal_)?token|api[_-]?key|private[_-]?key|(?:client_|app_)?secret|(?:secret"
    r"|access)_key)"
)
_COLUMN_END = rf"(?=[ \t]*\|?[ \t]*(?:\\[nr]|\\{{0,7}}[{CLOSING_SIGNS}]|$))"
# A header of a table has capitals, and no digits: TOKEN  AGE.
_COLUMNS = compile_later(
    rf"(^[|\s]{{0,8}}{_COLUMN}[ \t]{{2,40}}|(?:^|[\s{OPENING_SIGNS}]){_COLUMN}[ \t]{{0,40}}"
    rf"(?:\|[ \t]{{1,8}}|[ \t]{{2,40}}|\t)(?=[^\s|]*[0-9]|[^\s|]{{12}}))"
    rf"(?=[^\s|]{{3}})(?![|+=-])(?!(?-i:[A-Z]{{2,}}\b))(?:[^\s|\"'\\])++{_COLUMN_END}",
    re.IGNORECASE,
)


def _mask_markup(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}" if named_secrets.is_secret_name(match["tag"]) else match[0]


def _mask_sentence(match: re.Match[str]) -> str:
    value = match["value"]
    quoted = value[0] in "\"'`“"
    inner = value.strip("\"'`“”,.;)!]")
    lowered = inner.lower()
    if (
        not inner
        or lowered in secret_words.WORDS_AFTER_SECRET
        or inner.startswith(("/", "•", "$", "<", "{", "[", "*", "("))
        or "://" in inner
    ):
        return match[0]
    mixed = not (inner.isalpha() and (inner.islower() or inner.istitle() or inner.isupper()))
    if inner.replace("-", "").isalpha() and not quoted:
        mixed = mixed and "-" not in inner
    if inner.isdigit() and (len(inner) < 4 or _UNIT.match(match.string, match.end())):
        return match[0]
    if _UNIT.match(match.string, match.end()) and inner[0].isdigit():
        return match[0]
    last = _END.match(match.string, match.end()) is not None
    strong = match["strong"] is not None and (quoted or mixed or last)
    likely = len(inner) >= 8 and any(map(str.isdigit, inner)) and any(map(str.isalpha, inner)) and "/" not in inner
    if not (strong or likely):
        return match[0]
    opening = value[: len(value) - len(value.lstrip("\"'`“"))]
    closing = value[len(value.rstrip("\"'`”,.;)!")) :] if quoted else value[len(value.rstrip(",;)")) :]
    return f"{match['lead']}{opening}{MASK}{closing}"


# What leads to a value is rarer than what it is about, so it is looked for first.
def _find_is(line: str) -> str:
    return (
        _IS.sub(_mask_sentence, line) if any(verb in line for verb in (" is", " was", " are", " to", " IS")) else line
    )


def _find_colon(line: str) -> str:
    return _COLON.sub(_mask_sentence, line) if ": " in line or ":\t" in line else line


def _find_of(line: str) -> str:
    return _OF.sub(_mask_sentence, line) if " of " in line else line


_HINTS = ("pass", "token", "credential", " key", "-key", "apikey")
PATTERNS = (
    SecretPattern(hints=_HINTS, find=_find_is),
    SecretPattern(hints=_HINTS, find=_find_colon),
    SecretPattern(hints=_HINTS, find=_find_of),
    by_regex("api", _API_KEY, rf"\1{MASK}"),
    by_regex("pin otp code", _CODE, rf"\1{MASK}"),
    by_regex("pass", _WITH, rf"\1{MASK}"),
    by_regex("</", _MARKUP, _mask_markup),
    by_regex("value", _PAIR, rf"\1{MASK}"),
    by_regex("pass secret token key", _COLUMNS, rf"\1{MASK}"),
)
