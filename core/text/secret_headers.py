"""Masks secrets in the headers of HTTP and in the dialogues of other protocols.

Every quantifier is bounded or possessive, and no match starts inside what an earlier start has read, so a line costs
linear time.
"""

from __future__ import annotations

import base64
import binascii
import re

from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later
from core.text.secret_pattern import by_regex

_AUTHORIZATION = compile_later(
    r"(?P<name>(?<!www-)authorization\\{0,7}[\"'`]?\]?[ \t]{0,4}[:=,][ \t]{0,4}[\[(]{0,2}(?:b"
    r"(?=[\"']))?\\{0,7}[\"'`]?)"
    r"(?P<scheme>(?:bearer|basic|token|apikey|api-key|negotiate|ntlm|digest|hawk|sharedkey(?:lite)?|googlelogin"
    r"|aws4-hmac-sha256|splunk|bot|key|jwt|dpop|glogin|oauth)[ \t]{1,4})?"
    r"(?P<value>(?<=digest[ ])[^\n]++|(?<=hawk[ ])[^\n]++|(?<=oauth[ ])[^\n]++|(?<=sha256[ ])[^\n]++"
    r"|[^\s\"'\\\])][^\"'\\\n]{0,4096}+|[^\s\"'\\]++)",
    re.IGNORECASE,
)
_REGISTRY = compile_later(
    r"(x-registry-(?:auth|config)\\{0,7}[\"']?\]?[ \t]{0,4}[:=][ \t]{0,4}\[?\\{0,7}[\"']?)[A-Za-z0-9+/_=-]{8,}+",
    re.IGNORECASE,
)
_PLAIN_WORD = compile_later(r"[a-z][a-z ,.-]{0,40}|true|false|null|•+", re.IGNORECASE)
_BEARER = compile_later(
    r"\b(bearer(?:[ \t]{1,4}|[=:][ \t]{0,4}))(?![a-z_]{2,30}=[^=])(?=[a-z._~+/=-]*+[0-9])[a-z0-9._~+/=-]{8,}+",
    re.IGNORECASE,
)
_BASIC = compile_later(r"\b(?P<name>basic[ \t]{1,4})(?P<value>[A-Za-z0-9+/]{6,}+={0,2})", re.IGNORECASE)
_COOKIE = compile_later(
    r"((?:set-)?cookie\\{0,7}[\"']?:[ \t]{0,4}\[?\\{0,7}[\"']?)(?=[^\s\"']{0,200}=)[^\s\"'][^\n\"]*+", re.IGNORECASE
)
_SESSION = compile_later(
    r"((?:phpsessid|jsessionid|asp\.net_sessionid|connect\.sid|sessionid|csrftoken"
    r"|laravel_session)=)[^\s;,\"'&•]{6,}+",
    re.IGNORECASE,
)
# Without a space after the colon, the name of an image would look the same.
_TIGHT_HEADER = compile_later(
    r"((?<![\w./-])(?:x-(?:[a-z0-9]{1,20}-){0,3}(?:token|key|secret)|private-token|job-token|deploy-token):)"
    r"(?!v?[0-9]+(?:\.[0-9]+){1,3}|latest\b)[^\s\"',;•]{6,4096}+",
    re.IGNORECASE,
)
_SASL = compile_later(
    r"(\bAUTH(?:ENTICATE)?[ \t](?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER|"
    r"CRAM-MD5)[ \t]=?)[A-Za-z0-9+/=]{8,}+"
)
_PASS = compile_later(
    r"((?:>|-->|>>>|[CS]:|\bsent:?)[ \t]?\"?(?:PASS|AUTH(?:[ \t](?!PLAIN|LOGIN|XOAUTH|CRAM)\w{1,32}"
    r"(?=[ \t]\S))?)[ \t])[^\s\"\\]++(?=\"?\s*$|\\{1,7}[nr]|\\{0,7}\"[,}\]])"
)
_REDIS = compile_later(r"(\"(?:AUTH|auth)\"(?:[ \t,]{1,2}\"[^\"]{1,64}\")?[ \t,]{1,2}\")[^\"]{1,512}+(?=\")")
_IMAP = compile_later(r"(\b[A-Za-z][A-Za-z0-9]{0,8}[ \t]LOGIN[ \t]\"?[^\s\"]{1,128}\"?[ \t]\"?)[^\s\"]{1,256}+")
_JSON_AUTH = compile_later(
    r"(?P<name>\\{0,3}[\"']auth\\{0,3}[\"']\s{0,4}:\s{0,4}\\{0,3}[\"'])(?P<value>[A-Za-z0-9+/_-]{8,}+={0,2})"
)
_NPM_AUTH = compile_later(r"((?<![\w-])_(?:auth|password)[ \t]{0,4}=[ \t]{0,4}\"?)[^\s\"]++")


def _mask_authorization(match: re.Match[str]) -> str:
    value = match["value"].rstrip()
    if not match["scheme"] and _PLAIN_WORD.fullmatch(value.rstrip(".,;)]}")):
        return match[0]
    return f"{match['name']}{match['scheme'] or ''}{MASK}"


def _mask_credentials(match: re.Match[str]) -> str:
    """Masks base64 that holds `user:password`."""
    value = match["value"]
    return f"{match['name']}{MASK}" if _holds_credentials(value) else match[0]


def _holds_credentials(value: str) -> bool:
    try:
        text = base64.b64decode(value.translate({0x2D: "+", 0x5F: "/"}).rstrip("=") + "==", validate=False)
    except (binascii.Error, ValueError):
        return False
    head = text[:64]
    return b":" in head and all(0x20 <= byte < 0x7F for byte in head)


PATTERNS = (
    by_regex("authorization", _AUTHORIZATION, _mask_authorization),
    by_regex("x-registry-", _REGISTRY, rf"\1{MASK}"),
    by_regex("bearer", _BEARER, rf"\1{MASK}"),
    by_regex("-token: -key: -secret:", _TIGHT_HEADER, rf"\1{MASK}"),
    by_regex("basic", _BASIC, _mask_credentials),
    by_regex("cookie", _COOKIE, rf"\1{MASK}"),
    by_regex("sessid sessionid sid csrftoken session", _SESSION, rf"\1{MASK}"),
    by_regex("auth", _SASL, rf"\1{MASK}"),
    by_regex("pass auth", _PASS, rf"\1{MASK}"),
    by_regex("auth", _REDIS, rf"\1{MASK}"),
    by_regex("login", _IMAP, rf"\1{MASK}"),
    by_regex("auth", _JSON_AUTH, _mask_credentials),
    by_regex("_auth _password", _NPM_AUTH, rf"\1{MASK}"),
)
