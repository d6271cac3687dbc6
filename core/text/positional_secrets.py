"""Masks secrets in arguments whose position shows the secret, such as `user/password@db` and `user:password:uid`.

These programs have no flag for the secret, so its place among the other arguments decides. Every part of the
expressions is bounded or never tried again, so a line costs linear time.
"""

from __future__ import annotations

import re

from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later
from core.text.secret_pattern import CLOSING_SIGNS, OPENING_SIGNS, SecretPattern, by_regex

_VALUE = r"(?:\"[^\"\n]{1,512}+\"?|'[^'\n]{1,512}+'?|[^\s\"',\]]++)"
# Commands whose next argument is the secret.
_NEXT_ARGUMENT = compile_later(
    r"((?<![\w-])(?:(?:bw[ \t](?:unlock|login[ \t]\S{1,128})|cargo[ \t]login|snyk[ \t]auth)[ \t](?![a-z]{2,20}(?:\s|$))"
    r"|(?:rclone[ \t]obscure|wpa_passphrase[ \t][^\s-]\S{0,63})[ \t])(?!-))"
    rf"(?:{_VALUE})"
)
# Clients of Oracle: `sqlplus -s scott/tiger@db`, `impdp system/manager full=y`, `CONNECT scott/tiger@db`.
_ORACLE = compile_later(
    r"((?<![\w-])(?:sqlplus|sqlldr|sqlcl|expdp|impdp|rman)(?:64)?\b[^\n|;&]{0,120}?[ \t\"'=](?=[A-Za-z])"
    r"[\w.$#-]{1,64}/)(?![/\s])[^\s@/\"']{1,128}(?=[@\s\"']|$)"
    r"|((?:(?:^|[>;$#][ \t])(?:CONN(?:ECT)?|exp|imp|sql)|(?:(?<=SQL>[ ])|(?<=;[ ]))conn(?:ect)?|^conn)[ \t]{1,4}"
    r"[A-Za-z][\w.$#-]{0,63}/)[^\s@/\"'.]{1,128}(?=@[\w/]|[ \t]{1,4}(?i:as[ \t]sys))"
)
# Users of the image atmoz/sftp: `name:password[:e][:uid[:gid[:directories]]]`.
_SFTP_USER = compile_later(
    rf"((?:^|(?<=[\s=,{OPENING_SIGNS}]))[a-z_][a-z0-9_.-]{{0,31}}:)(?![x*!]:|\s|//)[^\s:\"']{{1,256}}(?::e)?"
    rf"(?=:(?:[0-9]{{3,6}}|(?=:))(?::[0-9]{{0,6}})?(?::[\w/,.-]{{0,200}})?(?:[\s,|\\{CLOSING_SIGNS}]|$))"
)
# Windows: `net use \\\\host\\share /user:name password`, `net user name password /add`, `schtasks /rp password`.
_NET = r"\bnet1?(?:\.exe)?[ \t]{1,4}"
_NET_USE = compile_later(
    rf"({_NET}use\b[^\n|;&]{{0,240}}?/user:[^\s\"',]{{1,128}}[ \t]{{1,4}}(?!/|\*))(?:{_VALUE})"
    rf"|({_NET}use[ \t]{{1,4}}(?:\S{{1,3}}[ \t]{{1,4}})?\\{{2,4}}\S{{1,200}}[ \t]{{1,4}}(?!/|\*))(?:{_VALUE})"
    r"(?=[ \t]{1,4}/user)"
    rf"|({_NET}user[ \t]{{1,4}}[^\s/]{{1,64}}[ \t]{{1,4}}(?!/|\*))(?:{_VALUE})(?=[ \t]{{1,4}}/[a-z])",
    re.IGNORECASE,
)
_SLASH_FLAG = compile_later(
    rf"((?<![\w/:.])/(?:pass(?:word)?|pwd|rp|userpass):)(?:{_VALUE})"
    rf"|(\bschtasks\b[^\n]{{0,240}}?/rp[ \t])(?:{_VALUE})",
    re.IGNORECASE,
)
_SMBCLIENT = compile_later(
    r"((?<![\w-])smbclient[ \t]{1,4}[\"']?(?://|\\{2,4})[^\s\"']{1,200}[\"']?[ \t]{1,4}(?!-))[^\s\"']{1,256}"
    r"(?=[ \t]{1,4}-|\s*$)"
)
_IMPACKET = compile_later(
    r"(\b\w{2,20}\.py[ \t][^\n|;&@]{0,120}?\b[\w./-]{1,64}:)[^\s@/\"']{3,128}"
    rf"(?=@[\w.-]{{1,253}}(?:[\s\\,;|{CLOSING_SIGNS}]|$))"
)
# What `expect` types: one word that is no plain word and no variable.
_EXPECT = compile_later(
    r"(\bsend[ \t]{1,4}(?:-{2}[ \t]{1,4})?\\{0,3}\"?)(?![$\[\\])(?=[^\s\"]{4,256}\\{1,4}[rn])(?![a-z/-]{1,40}\\)"
    r"(?:(?!\\{1,4}[rn])[^\s\"]){4,256}(?=\\{1,4}[rn])"
)
_ERLANG = compile_later(
    rf"((?<![\w-])-setcookie[\"']?[ \t,]{{1,4}})(?:{_VALUE})"
    rf"|((?<![A-Za-z])(?:[\w.-]{{0,40}}[_.-])?erlang[_.-]cookie[\"']?[ \t]{{0,4}}[:=][ \t]{{0,4}})"
    rf"(?!\$|/|$)(?:{_VALUE})",
    re.IGNORECASE,
)
_SNMP_COMMUNITY = compile_later(
    rf"((?:^|(?<=[\s{OPENING_SIGNS}]))(?:(?:ro|rw|trap)community6?|snmp-server[ \t]community"
    r"|com2sec6?[ \t]\S{1,64}[ \t]\S{1,64})[ \t]{1,4})[^\s\"']{1,128}+"
)
# `basic_auth: ["bob", "password"]`, PowerShell's `ConvertTo-SecureString "…"` and `PSCredential("bob", "…")`.
_PAIR = compile_later(
    r"(\bbasic_?auth[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\[(][ \t]{0,4}([\"'])[^\"'\n]{1,128}\2[ \t]{0,4},[ \t]{0,4}([\"']))"
    r"(?:(?!\3)[^\n]){1,512}+",
    re.IGNORECASE,
)
_POWERSHELL = compile_later(
    r"(\bConvertTo-SecureString[ \t]{1,4}(?:-String[ \t]{1,4})?|\bPSCredential[ \t]{0,4}\([ \t]{0,4}"
    rf"(?:\"[^\"\n]{{0,128}}\"|'[^'\n]{{0,128}}'),[ \t]{{0,4}})(?![$(•-])\\{{0,7}}(?:{_VALUE})",
    re.IGNORECASE,
)
# What a Secret of Kubernetes holds, in JSON.
_STRING_DATA = compile_later(r"(?:\\{0,3}\"stringData\\{0,3}\"[ \t]{0,4}:[ \t]{0,4}\{)[^{}\n]{1,8192}+")
_STRING_VALUE = compile_later(r"(:[ \t]{0,4}\\{0,3}\")(?:[^\"\\\n]|\\[^\"])++(?=\\{0,3}\")")
_SONAR = compile_later(r"((?:\b|D)sonar\.login[ \t]{0,2}=[ \t]{0,2})[^\s\"']{20,128}+")
_LITERAL = compile_later(
    rf"((?<![\"'])--from-literal[ \t=][\w.-]{{1,128}}=)(?:{_VALUE})"
    r"|((?P<quote>[\"'])--from-literal=[\w.-]{1,128}=)(?:(?!(?P=quote))[^\n]){1,512}+"
    r"|(--from-literal[ \t=](?P<inner>[\"'])[\w.-]{1,128}=)(?:(?!(?P=inner))[^\n]){1,512}+"
)
_VAULT_VALUE = compile_later(
    r"((?<=[ \t])(?!(?:-|ttl|max_ttl|policies|token_policies|ver|cas|type)\b)[\"']?[\w.-]{1,64}=)(?![@$])"
    rf"(?:{_VALUE})"
)
_VAULT_WRITE = compile_later(r"\bvault[ \t]{1,4}(?:kv[ \t]{1,4}(?:put|patch)|write)(?=[ \t])")


def _keep_name(match: re.Match[str]) -> str:
    """Returns the text before the value, and the mask. Each alternative has one group: what stays."""
    return f"{next(text for text in match.groups() if text is not None)}{MASK}"


def _mask_literals(line: str) -> str:
    return _LITERAL.sub(_keep_name, line) if "create secret" in line else line


def _mask_string_data(line: str) -> str:
    return _STRING_DATA.sub(lambda found: _STRING_VALUE.sub(rf"\1{MASK}", found[0]), line)


def _mask_vault(line: str) -> str:
    command = _VAULT_WRITE.search(line)
    if command is None:
        return line
    return line[: command.end()] + _VAULT_VALUE.sub(rf"\1{MASK}", line[command.end() :])


PATTERNS = (
    by_regex(("bw ", "cargo login", "snyk auth", "rclone", "wpa_passphrase"), _NEXT_ARGUMENT, rf"\1{MASK}"),
    by_regex("sqlplus sqlldr sqlcl expdp impdp rman conn exp imp sql", _ORACLE, _keep_name),
    by_regex("sftp", _SFTP_USER, rf"\1{MASK}"),
    by_regex(("net use", "net user", "net.exe", "net1 "), _NET_USE, _keep_name),
    by_regex("/pass /pwd /rp /userpass", _SLASH_FLAG, _keep_name),
    by_regex("smbclient", _SMBCLIENT, rf"\1{MASK}"),
    by_regex(".py", _IMPACKET, rf"\1{MASK}"),
    by_regex("send", _EXPECT, rf"\1{MASK}"),
    by_regex("setcookie erlang", _ERLANG, _keep_name),
    by_regex("community com2sec", _SNMP_COMMUNITY, rf"\1{MASK}"),
    by_regex("sonar.login", _SONAR, rf"\1{MASK}"),
    SecretPattern(hints=("--from-literal",), find=_mask_literals),
    SecretPattern(hints=("vault",), find=_mask_vault),
    SecretPattern(hints=("stringdata",), find=_mask_string_data),
    by_regex("basic", _PAIR, rf"\1{MASK}"),
    by_regex("securestring pscredential", _POWERSHELL, rf"\1{MASK}"),
)
