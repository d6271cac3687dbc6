# ruff: noqa: E501 (one line of the table for each secret)
"""Tokens of providers, each known by how it begins. Every value is invented."""

from __future__ import annotations

from tests.unit.core.text.made_up import ALPHANUMERIC, HEX, LOWER, UPPER, made, uuid

BY_FORMAT = [
    ("gh" + "p_", 36, ALPHANUMERIC), ("gh" + "o_", 36, ALPHANUMERIC), ("gh" + "s_", 36, ALPHANUMERIC),
    ("github" + "_pat_", 82, ALPHANUMERIC), ("gl" + "pat-", 20, ALPHANUMERIC), ("gl" + "rt-", 20, ALPHANUMERIC),
    ("gl" + "ptt-", 40, HEX), ("gl" + "dt-", 20, ALPHANUMERIC), ("AT" + "ATT3xFf", 180, ALPHANUMERIC),
    ("AT" + "BB", 32, ALPHANUMERIC), ("np" + "m_", 36, ALPHANUMERIC), ("py" + "pi-AgEIcHlwaS5vcmc", 60, ALPHANUMERIC),
    ("ruby" + "gems_", 48, HEX), ("ci" + "o", 32, ALPHANUMERIC), ("oy" + "2", 43, LOWER), ("dckr" + "_pat_", 27, ALPHANUMERIC),
    ("AK" + "Cp", 69, ALPHANUMERIC), ("sq" + "p_", 40, HEX), ("CCI" + "PAT_", 40, ALPHANUMERIC), ("bk" + "ua_", 40, HEX),
    ("h" + "f_", 34, ALPHANUMERIC), ("xox" + "b-", 50, LOWER), ("xox" + "p-", 70, LOWER), ("xox" + "e.xoxp-1-", 140, ALPHANUMERIC),
    ("xap" + "p-1-A0-", 60, LOWER), ("S" + "G." + "a" * 22 + ".", 43, ALPHANUMERIC), ("key" + "-", 32, HEX),
    ("xkeys" + "ib-", 64, HEX), ("S" + "K", 32, HEX), ("AK" + "IA", 16, UPPER), ("AS" + "IA", 16, UPPER),
    ("AI" + "za", 35, ALPHANUMERIC), ("ya" + "29.", 60, ALPHANUMERIC), ("GOC" + "SPX-", 28, ALPHANUMERIC),
    ("1/" + "/0", 60, ALPHANUMERIC), ("LT" + "AI", 20, ALPHANUMERIC), ("do" + "p_v1_", 64, HEX), ("HR" + "KU-", 36, ALPHANUMERIC),
    ("ts" + "key-auth-k", 30, ALPHANUMERIC), ("fo" + "1_", 40, ALPHANUMERIC), ("sb" + "p_", 40, HEX), ("pul" + "-", 40, HEX),
    ("dap" + "i", 32, HEX), ("PM" + "AK-", 58, HEX), ("fig" + "d_", 40, ALPHANUMERIC), ("lin" + "_api_", 40, ALPHANUMERIC),
    ("nt" + "n_", 46, ALPHANUMERIC), ("pscale" + "_tkn_", 43, ALPHANUMERIC), ("dp" + ".pt.", 43, ALPHANUMERIC),
    ("r" + "8_", 37, ALPHANUMERIC), ("gs" + "k_", 52, ALPHANUMERIC), ("pp" + "lx-", 48, ALPHANUMERIC), ("xa" + "i-", 80, ALPHANUMERIC),
    ("sk" + "_live_", 24, ALPHANUMERIC), ("rk" + "_live_", 24, ALPHANUMERIC), ("sk" + "_test_", 24, ALPHANUMERIC),
    ("wh" + "sec_", 32, ALPHANUMERIC), ("shp" + "at_", 32, HEX), ("sq0" + "atp-", 22, ALPHANUMERIC), ("EZ" + "AK", 54, ALPHANUMERIC),
    ("NR" + "AK-", 27, UPPER), ("gl" + "c_", 60, ALPHANUMERIC), ("gl" + "sa_", 40, ALPHANUMERIC), ("snt" + "rys_", 60, ALPHANUMERIC),
    ("lsv2" + "_pt_", 40, HEX), ("ph" + "x_", 43, ALPHANUMERIC), ("sk" + "-proj-", 60, ALPHANUMERIC), ("sk" + "-ant-api03-", 90, ALPHANUMERIC),
    ("sk" + "-", 48, ALPHANUMERIC), ("sk" + "-or-v1-", 64, HEX), ("ai" + "o_", 28, ALPHANUMERIC), ("hv" + "s.", 24, ALPHANUMERIC),
    ("hv" + "b.", 60, ALPHANUMERIC), ("AGE" + "-SECRET-KEY-1", 58, UPPER), ("SWM" + "TKN-1-", 50, LOWER), ("SWM" + "KEY-1-", 43, ALPHANUMERIC),
    ("K1" + "0" + "a1" * 20 + "::server:", 32, HEX), ("EA" + "A", 100, ALPHANUMERIC), ("CFP" + "AT-", 43, ALPHANUMERIC),
    ("ops" + "_eyJ", 200, ALPHANUMERIC), ("A" * 20, 60, ALPHANUMERIC), ("nv" + "api-", 60, ALPHANUMERIC), ("abcdefgh012345.at" + "lasv1.", 60, ALPHANUMERIC),
    ("abc8" + "Q~", 34, ALPHANUMERIC), ("flutter FLW" + "SECK-", 32, HEX), ("t" + "1.", 60, ALPHANUMERIC), ("access-" + "production-", 0, ""),
    ("MT" + made(22, seed="d1") + "." + made(6, seed="d2") + ".", 27, ALPHANUMERIC), ("", 32, HEX),
]  # fmt: skip
SURROUNDINGS = ("{}", "using {} now", '{{"value":"{}"}}', "client({})", "[{}]")


def formatted() -> list[tuple[str, str]]:
    lines = []
    for number, (start, length, alphabet) in enumerate(BY_FORMAT):
        body = made(length, alphabet, start) if length else uuid(start)
        if not start:
            lines.append(("mailchimp {}-us14", body))
            continue
        around = SURROUNDINGS[number % len(SURROUNDINGS)]
        lines.append((around.replace("{}", start.replace("{", "{{").replace("}", "}}") + "{}"), body))
    jwt = ".".join(("ey" + "J" + made(20, seed="j1"), "ey" + "J" + made(60, seed="j2"), made(43, seed="j3")))
    return [
        *lines,
        ("session {} opened", jwt),
        ("{}", "ey" + "J" + made(30, seed="j4") + "." + made(40, seed="j5") + "."),
    ]
