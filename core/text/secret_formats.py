"""Recognises secrets by their own format: the tokens of providers, JSON web tokens, hashes of passwords.

Each format begins with a text that hardly anything else has. That text stays visible, so that people know which token
it was. A format matches only at the start of a run of letters and digits, and each run is read once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later
from core.text.secret_pattern import SecretPattern, by_regex

# (the beginning, which stays visible; what must follow; the hints, in lower case, one of which the line must contain)
_FORMATS: Sequence[tuple[str, str, str]] = (
    # code hosting and packages
    (r"gh[opsur]_", r"[A-Za-z0-9]{20,}", "ghp_ gho_ ghs_ ghu_ ghr_"),
    (r"github_pat_", r"\w{20,}", "github_pat_"),
    (r"gl(?:pat|rt|dt|ptt|cbt|imt|soat|ft|oas"
     r"|agent|rtr)-", r"[\w.-]{16,}", "glpat- glrt glptt- gldt- glcbt- glimt- glsoat- glft- gloas- glagent-"),
    (r"GR1348941", r"[\w-]{16,}", "gr1348941"),
    (r"AT(?:ATT|CTT|BB)", r"[A-Za-z0-9_=-]{20,}", "atatt atctt atbb"),
    (r"npm_", r"[A-Za-z0-9]{30,}", "npm_"),
    (r"pypi-AgE", r"[\w-]{16,}", "pypi-age"),
    (r"rubygems_", r"[a-f0-9]{32,}", "rubygems_"),
    (r"cio", r"[A-Za-z0-9]{32}(?![A-Za-z0-9])", "cio"),
    (r"oy2", r"[a-z0-9]{43}(?![a-z0-9])", "oy2"),
    (r"dckr_(?:pat|oat)_", r"[\w-]{20,}", "dckr_"),
    (r"(?:AKCp|cmVmdGtuOj)", r"[A-Za-z0-9]{20,}", "akcp cmvmdgtuoj"),
    (r"sq[pua]_", r"[a-f0-9]{40}", "sqp_ squ_ sqa_"),
    (r"(?:CCIPAT_|bkua_|bkaj_|bkct_)", r"\w{20,}", "ccipat_ bkua_ bkaj_ bkct_"),
    (r"hf_", r"[A-Za-z0-9]{30,}", "hf_"),
    (r"eyJhdXRo", r"[A-Za-z0-9+/]{16,}={0,2}", "eyjhdxro"),
    # chat and mail
    (r"xox[abceoprs]-", r"[\w.-]{10,}", "xox"),
    (r"xapp-", r"[\w-]{10,}", "xapp-"),
    (r"xwfp-", r"[\w-]{10,}", "xwfp-"),
    (r"[0-9]{8,10}:AA", r"[\w-]{32,33}(?![\w-])", ":aa"),
    (r"SG\.", r"[\w-]{16,}\.[\w-]{16,}", "sg."),
    (r"(?:key|pubkey)-", r"[a-f0-9]{32}(?![a-z0-9])", "key-"),
    (r"xkeysib-", r"[a-f0-9]{40,}", "xkeysib-"),
    (r"(?<![A-Fa-f0-9])(?=[a-f0-9]{32}-us[0-9])", r"[a-f0-9]{32}", "-us"),
    (r"SK", r"[a-f0-9]{32}(?![A-Za-z0-9])", "sk"),
    # clouds
    (r"(?:AKIA|ASIA|ABIA|ACCA)", r"[A-Z0-9]{16}(?![A-Z0-9])", "akia asia abia acca"),
    (r"AIza", r"[\w-]{30,}", "aiza"),
    (r"ya29\.", r"[\w-]{20,}", "ya29."),
    (r"GOCSPX-", r"[\w-]{20,}", "gocspx-"),
    (r"1//0", r"[\w-]{30,}", "1//0"),
    (r"LTAI", r"[A-Za-z0-9]{16,}(?![A-Za-z0-9])", "ltai"),
    (r"AKID", r"[A-Za-z0-9]{28,}", "akid"),
    (r"do[opr]_v1_", r"[a-f0-9]{32,}", "doo_v1_ dop_v1_ dor_v1_"),
    (r"HRKU-", r"[\w-]{30,}", "hrku-"),
    (r"tskey-", r"[\w-]{12,}", "tskey-"),
    (r"v1\.0-", r"[a-f0-9]{24}-[a-f0-9]{40,}", "v1.0-"),
    (r"(?:fo1_|fm[12]_|FlyV1 fm[12]_)", r"[\w+/=-]{20,}", "fo1_ fm1_ fm2_"),
    (r"(?:sbp_|sb_secret_|rnd_|r8_|nvapi-|pul-|dapi|PMAK-|figd_|lin_api_|ntn_|pscale_(?:tkn"
     r"|pw|oauth)_)", r"[\w.-]{16,}",
     "sbp_ sb_secret_ rnd_ r8_ nvapi- pul- dapi pmak- figd_ lin_api_ ntn_ pscale_"),
    (r"secret_", r"(?=[A-Za-z]*+[0-9])[A-Za-z0-9]{40,}", "secret_"),
    (r"pat[A-Za-z0-9]{14}\.", r"[a-f0-9]{32,}", "pat"),
    (r"[A-Za-z0-9]{14}\.atlasv1\.", r"[\w-]{40,}", ".atlasv1."),
    (r"dp\.(?:pt|st|ct|sa|scim|audit)\.", r"[\w.-]{30,}", "dp."),
    (r"ops_eyJ", r"[\w-]{20,}", "ops_eyj"),
    (r"CFPAT-", r"[\w-]{30,}", "cfpat-"),
    (r"sl\.", r"[A-Za-z0-9_-]{60,}", "sl."),
    (r"EAA", r"[A-Za-z0-9]{60,}", "eaa"),
    (r"A{18,}", r"[A-Za-z0-9%]{40,}", "aaaaaaaaaaaaaaaaaa"),
    (r"(?:t1\.|y[0-3]_|AQVN)", r"[A-Za-z0-9_-]{36,}", "t1. y0_ y1_ y2_ y3_ aqvn"),
    (r"[\w~.-]{3}[78]Q~", r"[\w~.-]{31,34}", "q~"),
    # money and shops
    (r"(?:[rps]k_(?:live|test)|whsec)_", r"[A-Za-z0-9+/=]{16,}", "k_live_ k_test_ whsec_"),
    (r"shp(?:at|ca|pa|ss|ua)_", r"[a-fA-F0-9]{32}", "shp"),
    (r"(?:sq0(?:atp|csp|idp)-|EAAA)", r"[\w-]{22,}", "sq0 eaaa"),
    (r"access_token\$(?:production|sandbox)\$", r"[a-z0-9$]{20,}", "access_token$"),
    (r"(?:access|public)-(?:production|sandbox|development)-", r"[a-f0-9-]{36}", "access- public-"),
    (r"EZ[AT]K", r"[A-Za-z0-9]{50,}", "ezak eztk"),
    (r"FLWSECK(?:_TEST)?-", r"[a-f0-9X-]{12,}", "flwseck"),
    # monitoring
    (r"(?:NRAK|NRII|NRJS|NRRA)-", r"[\w-]{15,}", "nrak- nrii- nrjs- nrra-"),
    (r"gl(?:c|sa)_", r"[A-Za-z0-9+/_=]{20,}", "glc_ glsa_"),
    (r"sntry[su]_", r"[\w+/=.-]{20,}", "sntry"),
    (r"(?:lsv2_(?:pt|sk)_|phx_|phs_|dd_?pat_|ddog_)", r"\w{20,}", "lsv2_ phx_ phs_ ddpat_ dd_pat_ ddog_"),
    # models
    (r"sk-(?:proj|svcacct|admin|ant|or-v1)-", r"[\w-]{16,}", "sk-"),
    (r"sk-", r"[A-Za-z0-9]{32,}", "sk-"),
    (r"(?:gsk_|pplx-|xai-|fw_|tgp_v1_|jina_"
     r"|tvly-|fc-)", r"[\w-]{24,}", "gsk_ pplx- xai- fw_ tgp_v1_ jina_ tvly- fc-"),
    (r"[sp]k\.eyJ", r"[\w.-]{20,}", "sk.eyj pk.eyj"),
    (r"aio_", r"[A-Za-z0-9]{26,}", "aio_"),
    # keys of clusters and vaults
    (r"hv[sbr]\.", r"[\w-]{20,}", "hvs. hvb. hvr."),
    (r"s\.", r"(?=[A-Za-z]*+[0-9])[A-Za-z0-9]{24}(?![\w.])", "s."),
    (r"AGE-SECRET-KEY-", r"[A-Z0-9]{20,}", "age-secret-key-"),
    (r"SWM(?:TKN|KEY)-1-", r"[A-Za-z0-9+/=-]{20,}", "swmtkn- swmkey-"),
    (r"K10[a-f0-9]{20,64}::", r"\S{8,}", "k10"),
)  # fmt: skip
_JWT = compile_later(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){0,3}")
# The id of a key of AWS, and its secret beside it.
_AWS_PAIR = compile_later(
    r"((?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}[^A-Za-z0-9+/\n]{1,3}(?:[\w ]{0,24}[^A-Za-z0-9+/\n]{1,4})??/?"
    r"[ \t]{0,2})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
)
# A hash of a password can be guessed offline. In compose files each `$` is doubled.
_D = r"\${1,2}"
_HASH = compile_later(
    rf"(?<![A-Za-z0-9$])({_D}(?:apr1{_D}|[156]{_D}(?:rounds=[0-9]{{1,9}}{_D})?|2[abxy]?{_D}[0-9]{{2}}{_D}"
    rf"|g?y{_D}|7{_D}"
    rf"|argon2(?:id|i|d){_D}|scrypt{_D}|s[01]{_D}|sha1{_D}|pbkdf2[a-z0-9-]{{0,16}}{_D}))[A-Za-z0-9./+=,$-]{{20,}}+"
    r"|(?<![A-Za-z0-9])((?:pbkdf2_sha(?:1|256|512)|bcrypt(?:_sha256)?|scrypt|argon2)\$)[A-Za-z0-9./+=,$-]{20,}+"
    r"|(\{(?:S?SHA(?:256|384|512)?|S?MD5|CRYPT|ARGON2|PBKDF2[A-Z0-9-]{0,10})\})[A-Za-z0-9+/$.=]{16,}+"
    r"|(SCRAM-SHA-(?:1|256)\$[0-9]{1,7}:)[A-Za-z0-9+/=$:]{20,}+",
)


# Bots of Discord, and bootstrap tokens of Kubernetes. Every line has a dot, so a dot that fits is looked for first.
_DOTTED_HINT = compile_later(r"\.(?:[\w-]{6}\.[\w-]{27}|[a-z0-9]{16}(?![\w.-]))", re.ASCII)
_DOTTED = compile_later(
    r"(?<![\w.:-])(?:[MNO][A-Za-z0-9_-]{23,27}\.[\w-]{6}\.[\w-]{27,}"
    r"|(?=[a-z]*[0-9])[a-z0-9]{6}\.(?=[a-z]*[0-9])[a-z0-9]{16}(?![\w.-]))",
    re.ASCII,
)


def _find_dotted(line: str) -> str:
    return _DOTTED.sub(MASK, line) if _DOTTED_HINT.search(line) else line


def _mask_hash(match: re.Match[str]) -> str:
    return f"{next(filter(None, match.groups()))}{MASK}"


def _format(start: str, rest: str, hints: str) -> SecretPattern:
    return by_regex(hints, compile_later(rf"(?<![A-Za-z0-9_-])({start}){rest}", re.ASCII), rf"\1{MASK}")


# The notes after a line that was cut: its last token may be too short for its own format.
_CUT = r"(?=… \([0-9,]+ (?:more bytes|characters)\))"
_CUT_TOKEN = compile_later(
    rf"(?<![A-Za-z0-9_-])((?:{'|'.join(start for start, *_ in _FORMATS)}|eyJ))[A-Za-z0-9_+/=.:~%-]{{1,4096}}+{_CUT}",
    re.ASCII,
)
AWS_PAIR = by_regex("akia asia", _AWS_PAIR, rf"\1{MASK}")
PATTERNS = (
    by_regex(("… (",), _CUT_TOKEN, rf"\1{MASK}"),
    SecretPattern(hints=(".",), find=_find_dotted),
    by_regex("eyj", _JWT, MASK),
    by_regex("$ } scram-sha-", _HASH, _mask_hash),
    *(_format(*one) for one in _FORMATS),
)
