"""Masks passwords in URLs and connection strings, signatures and tokens in queries, and the addresses of webhooks.

The regular expressions do not backtrack without limit, and the search never reads the same characters twice. So the
time grows linearly with the length of a line.
"""

from __future__ import annotations

import re

from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later
from core.text.secret_pattern import by_regex

# The password reaches to the last @, because people forget to encode an @ or a / in it.
_URL = compile_later(r"(?P<user>//[^\s/:\"'<>]{0,256}+:)(?P<rest>(?:(?!//)[^\s\"'<>`]){0,1024}+)")
_PORT = compile_later(r"[0-9]{1,5}(?:[/?#,\\]|$)")
# A password with a quote or angle bracket in it, if the @ and a host follow; not the end of a quoted text.
_URL_QUOTE = compile_later(
    r"(//[^\s/:\"'<>@]{0,128}+:)(?![0-9]{1,5}[/?#,\\\"'<>])(?!••)(?=[^\s@/]{0,128}[\"'<>`])"
    r"(?:(?![\"'][,:;)}\]])[^\s@/•]){1,128}+(?=@[A-Za-z0-9.-]{1,253}(?:[:/?\s\"',]|$))"
)
# `Password={a;b}` of ODBC, where braces hold any characters.
_ODBC = compile_later(
    r"((?:^|[;\s\"'])(?:pwd|password)[ \t]?=[ \t]?\{)(?![{}])[^{}\n•]{1,256}+(?=\}(?:[;\"'\s]|$))", re.IGNORECASE
)
_URL_TOKEN = compile_later(r"(//)[^\s/:@\"'•]{20,512}(?=@)")
_GO_DSN = compile_later(
    r"(?<![\w.-])([\w.-]{1,64}+:)[^\s\"'`]{1,256}?(?=@(?:tcp|tcp6|udp|unix|cloudsql"
    r"|[a-z-]{2,16})\()"
)
_BARE_USER = compile_later(
    r"(?<![\w./:@-])([\w.+-]{1,64}+:)(?=[^\s:@/\"'\\]{0,127}?[^\s:@/\"'\\a-z])[^\s:@/\"'\\]{3,128}+"
    r"(?=@(?!sha[0-9])[A-Za-z0-9.-]{1,253}:[0-9]{2,5}(?![0-9]))"
)
_ORACLE = compile_later(
    r"((?:jdbc:oracle:\w{1,8}:|\bsqlplus[ \t](?:-[A-Za-z]{1,8}[ \t]){0,4})[\w.$#-]{1,64}/)[^\s@/\"']{1,128}(?=@)"
)
_QUERY = compile_later(
    r"(?P<name>[?&;](?:amp;)?(?:sig(?:nature)?|x-(?:amz|goog|oss|cos|ms|obs)-[\w-]{0,24}(?:signature|credential"
    r"|token)|hmac|hapikey"
    r"|pw|pass|passwd|key|code|auth|auth_?key|access|session|sid|jwt|st|appid|policy|hash|se?cret|k|t|s)=)"
    r"(?P<value>[^\s&\"'<>;•]{1,4096}+)",
    re.IGNORECASE,
)
_LONG_ENOUGH = {"key": 16, "code": 20, "auth": 8, "access": 16, "session": 16, "sid": 16, "st": 16, "appid": 24,
                "policy": 40, "hash": 24, "k": 20, "t": 20, "s": 24, "hmac": 8}  # fmt: skip
_HOOK = compile_later(
    r"(hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/"
    r"(?:v[0-9]{1,2}/)?webhooks/[0-9]{5,20}/"
    r"|\.webhook\.office\.com/webhookb2/|outlook\.office(?:365)?\.com/webhook/|hooks\.zapier\.com/hooks/catch/"
    r"|hook\.(?:[a-z0-9]{2,4}\.)?make\.com/|maker\.ifttt\.com/trigger/\w{1,40}/(?:json/)?with/key/"
    r"|api\.telegram\.org/bot(?=[0-9])"
    r"|open\.(?:feishu\.cn|larksuite\.com)/open-apis/bot/v2/hook/|events\.pagerduty\.com/integration/"
    r"|(?:/hooks/)(?=[a-z0-9]{26}(?![a-z0-9]))|pipedream\.net/|hc-ping\.com/(?=[0-9a-f-]{36})|ntfy\.sh/"
    r"(?=tk_))[A-Za-z0-9/_@:.-]++",
    re.IGNORECASE,
)


def _mask_url(match: re.Match[str]) -> str:
    """Masks the password of a URL. `host:8080/a@b` has a port and no password."""
    rest = match["rest"]
    end = rest.rfind("@")
    if end <= 0 or _PORT.match(rest):
        return match[0]
    return f"{match['user']}{MASK}{rest[end:]}"


def _mask_query(match: re.Match[str]) -> str:
    name, value = match["name"].lstrip("?&;").removeprefix("amp;")[:-1].lower(), match["value"]
    if len(value) < _LONG_ENOUGH.get(name, 4) or (name in _LONG_ENOUGH and value.isalpha() and value.islower()):
        return match[0]
    return f"{match['name']}{MASK}"


PATTERNS = (
    by_regex("//", _URL, _mask_url),
    by_regex("//", _URL_QUOTE, rf"\1{MASK}"),
    by_regex("pwd password", _ODBC, rf"\1{MASK}"),
    by_regex("//", _URL_TOKEN, rf"\1{MASK}"),
    by_regex("@", _GO_DSN, rf"\1{MASK}"),
    by_regex("@", _BARE_USER, rf"\1{MASK}"),
    by_regex("jdbc:oracle: sqlplus", _ORACLE, rf"\1{MASK}"),
    by_regex("? & ;", _QUERY, _mask_query),
    by_regex(
        "hooks. webhook. /webhook hook. make.com maker.ifttt.com api.telegram.org /hook"
        "s/ /hook/ pagerduty.com pipedream.net ntfy.sh hc-ping.com",
        _HOOK,
        rf"\1{MASK}",
    ),
)
