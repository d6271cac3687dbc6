"""Hundreds of invented secrets of which nothing may be left, and hundreds of harmless lines that must stay as they are,
each plain and in the disguises in which logs bring them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.text import sanitize
from core.text.redact import redact
from tests.unit.core.text import secret_lines

SECRETS = secret_lines.every_line()
# As engines, programs and Quarterdeck itself write them.
HARMLESS = Path(__file__).with_name("harmless_lines.txt").read_text().splitlines()
ONE_LINE = [(text, secret) for text, secret in SECRETS if "\n" not in text]


def is_left(text: str, secret: str, shown: str) -> bool:
    """Whether half of the secret or more is readable, in letters that are nowhere else in the line."""
    width = max(4, (len(secret) + 1) // 2)
    around = text.replace(secret, "\0")
    pieces = {secret[at : at + width] for at in range(len(secret) - width + 1)}
    return any(piece in shown and piece not in around for piece in pieces)


def left(lines, disguise=lambda text, secret: text):
    shown = ((text, secret, redact(disguise(text, secret))) for text, secret in lines)
    return [(text, out) for text, secret, out in shown if is_left(text, secret, sanitize.letters(out))]


def within(text: str, secret: str, something: str) -> str:
    """Puts something into the middle of the secret."""
    at = text.index(secret) + len(secret) // 2
    return text[:at] + something + text[at:]


def before(text: str, secret: str, something: str) -> str:
    """Puts something into what stands before the secret, mostly its name."""
    at = max(1, text.index(secret) - 3)
    return text[:at] + something + text[at:]


def test_the_corpus_is_large():
    assert len(SECRETS) >= 430 and len(set(SECRETS)) == len(SECRETS)
    assert len(HARMLESS) >= 480
    assert len(set(HARMLESS)) == len(HARMLESS)
    assert all(secret in text for text, secret in SECRETS)


def test_no_secret_is_left():
    assert left(SECRETS) == []


def test_no_harmless_line_changes_alone_or_among_others():
    assert [line for line in HARMLESS if redact(line) != line] == []
    assert redact("\n".join(HARMLESS)) == "\n".join(HARMLESS)


def test_redacting_twice_changes_nothing():
    shown = [redact(text) for text, _ in SECRETS]
    assert [text for text in shown if redact(text) != text] == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: f"2026-01-02T03:04:05Z web-1  | {text}",
        lambda text: json.dumps({"level": "info", "log": text, "n": 1}),
        lambda text: json.dumps({"log": json.dumps({"msg": text})}),
        lambda text: '[{"date":1,"log":' + json.dumps(text + "\n") + "}]",
        lambda text: "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text),
        lambda text: "\0".join(text),
        lambda text: "".join(f"{one}\b{one}" for one in text),
        lambda text: "word " * 300 + text,
    ],
    ids=["compose", "json", "json in json", "fluentd", "full width", "UTF-16", "overstruck", "long"],
)
def test_no_secret_is_left_in_what_logs_wrap_it_in(wrap):
    wide = {wrap("ab")} & {"ａｂ"}
    lines = [(text, wrap(secret) if wide else secret) for text, secret in ONE_LINE]
    shown = [(text, secret, redact(wrap(text))) for (text, _), (_, secret) in zip(ONE_LINE, lines, strict=True)]
    assert [(text, out) for text, secret, out in shown if is_left(text, secret, sanitize.letters(out))] == []


HIDDEN = {
    "colour": "\x1b[31m",
    "colour of 8 bits": "\x9b31m",
    "colour without escape": "[0;31m",
    "colour as JSON": "\\u001b[31m",
    "colour as C": "\\x1b[31m",
    "colour as cat -v": "^[[31m",
    "link": "\x1b]8;;http://x\x1b\\",
    "zero width space": "\u200b",
    "word joiner": "\u2060",
    "soft hyphen": "\u00ad",
    "grapheme joiner": "\u034f",
    "filler": "\u3164",
    "tag": "\U000e0041",
    "variation": "\ufe0e",
    "direction": "\u202e",
    "byte order mark": "\ufeff",
    "bell": "\x07",
    "delete": "\x7f",
    "carriage return": "\r",
}


@pytest.mark.parametrize("something", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("where", [within, before])
def test_nothing_invisible_hides_a_secret(where, something):
    assert left(SECRETS, lambda text, secret: where(text, secret, something)) == []


def test_a_symbol_beside_a_secret_stays():
    assert redact("a\x07b password=hunter2 c\x00") == "a␇b password=•••• c␀"
    assert redact("50%\r100% password=hunter2") == "100% password=••••"


UNITS = (
    *(
        "password=",
        'password="',
        "password: ",
        "password is ",
        "password for ",
        "password:\n",
        "://a:",
        "https://a:",
        "//",
    ),
    *(
        "//a:b@",
        "//u:p/",
        "token-",
        "token:a ",
        "{token:",
        "tokens: [",
        "bearer ",
        "--a-",
        "secret_",
        "SG.a",
        ",a",
        "\\",
    ),
    *(
        "cookie:",
        "--",
        "mysql ",
        "mysql -p",
        "curl -u ",
        "http -u ",
        "?key=",
        "&",
        "$2y$",
        "$apr1$",
        "basic YTpi",
        "\x1b[",
    ),
    *("a\x08", "␀", "\u200b", "[0;", "\\u001b[", "LS0tLS1CRUdJT", "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t", "a.b."),
    *("Private-Lines: 1\n", "name: password\n", "| password |", "abc123.", "machine a login b password ", "claim "),
    *("identified by '", "set password for ", "requirepass ", 'AUTH "', "1//0", "key ", "-key", "pass", "[password,"),
    *(
        "mnemonic: a b c d ",
        "user:x@",
        "authorization: digest ",
        "passwords: [x ",
        "\uff50",
        "='",
        "`",
        "%22",
        "&quot;",
    ),
    *("b'", '\\"', "jdbc:oracle:thin:a/", "passwordPassword", "secret.secret.", "-p", "vault login ", "otp ", "a\r"),
    *(
        "mc alias set a b c ",
        "token token ",
        "PASSWORD '",
        "a:1234:",
        "a:1234:b:c:",
        "name=password value=",
        "<password>",
    ),
    *("password: &a ", '"password": {', '"password": {\n', "password: |\n", "passwords:\n", "password = <<EOF\n"),
    *("user a on ", "echo a | sudo ", "echo ", "sudo -S <<<", "//a:'", ";password={", "bearer=", '•" -> "'),
)


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_line_of_anything_is_read_a_bounded_number_of_times(unit):
    # Quadratic time would take minutes here and end in the suite's time limit.
    assert isinstance(redact(unit * (200_000 // len(unit))), str)


@pytest.mark.parametrize("note", ["… (1,234 more bytes)", "… (5 characters)"])
@pytest.mark.parametrize(
    "start", ["gh" + "p_", "xox" + "b-1", "ey" + "J", "AK" + "IA", "sk" + "_live_", "hv" + "s.", "np" + "m_"]
)
def test_a_token_of_which_the_rest_was_cut_off_is_masked(start, note):
    shown = redact(f"using token {start}Zq7xW2{note}")
    assert "Zq7xW2" not in shown and shown.endswith(note[2:])
    assert redact(f"the last word{note}") == f"the last word{note}"
