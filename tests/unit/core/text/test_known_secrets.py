"""Secrets of this process itself are masked by their value, in every spelling and in every output."""

import base64
import io
import json
import urllib.parse

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core import logs
from core.config import load
from core.model.replies import Button, Fields, Lines, Reply, Table, Text
from core.text import known_secrets
from core.text.redact import MASK, redact, redact_reply

SECRET = 'correct "horse" & b\u00e4ttery'


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
    ],
)
def test_a_remembered_secret_is_masked_in_every_spelling(spelling):
    known_secrets.add_known_secrets([SECRET])
    assert redact(f"before {spelling} after").rstrip("=").replace("=", "") == f"before {MASK} after"


@pytest.mark.parametrize("user", ["", "x", "me", "bob", "alice:and:more"])
def test_a_remembered_secret_is_masked_within_base64(user):
    known_secrets.add_known_secrets([SECRET])
    around = base64.b64encode(f"{user}:{SECRET}:end".encode()).decode()
    shown = redact(f"sent {around} to the proxy").removeprefix("sent ").removesuffix(" to the proxy")
    assert MASK in shown and len(shown) <= len(MASK) + len(around) - len(base64.b64encode(SECRET.encode())) + 8


def test_a_short_secret_is_masked_as_a_word_and_a_shorter_one_by_its_name_alone():
    known_secrets.add_known_secrets(["horse7", "abc", ""])
    assert redact("horse7 racehorse7s (horse7) abc") == f"{MASK} racehorse7s ({MASK}) abc"
    assert redact("password=abc") == f"password={MASK}"


def test_of_a_url_the_password_is_the_secret():
    known_secrets.add_known_secrets(["rediss://deck:p%40ss%2Fword@store.example:6380/2", "redis://plain.example:6379"])
    assert redact("p@ss/word and p%40ss%2Fword at store.example:6380") == f"{MASK} and {MASK} at store.example:6380"
    assert redact("plain.example:6379") == "plain.example:6379"


@given(st.text(st.characters(categories=("L", "N", "P")), min_size=12, max_size=40), st.text(max_size=20))
def test_any_long_secret_is_gone_wherever_it_is(secret, around):
    if "://" in secret:
        return
    known_secrets.forget_all()
    known_secrets.add_known_secrets([secret])
    assert secret not in redact(around + secret + around).replace(MASK, " ")


def test_the_secrets_of_a_configuration_are_masked_in_replies_and_logs(tmp_path):
    tokens = {"bot_token": "xox" + "b-1-zebra", "app_token": "xap" + "p-1-zebra", "signing_secret": "0f" * 16}
    environ = {f"QUARTERDECK_SLACK__{name.upper()}": value for name, value in tokens.items()}
    load.load(None, environ | {"QUARTERDECK_STORE__URL": "redis://:zebra-crossing@h", "HOME": str(tmp_path)})
    shown = "|".join((*tokens.values(), "zebra-crossing"))
    reply = Reply(
        blocks=(
            Text(text=shown),
            Lines(lines=(shown,)),
            Table(columns=("A",), rows=((shown,),)),
            Fields(fields={"image": shown}),
        ),
        buttons=(Button(label=shown, line="ps"),),
    )
    out = io.StringIO()
    logs.configure_logging(stream=out)
    try:
        structlog.get_logger().warning(shown, value=shown)
    finally:
        structlog.reset_defaults()
    for text in (repr(redact_reply(reply)), out.getvalue()):
        assert "zebra" not in text and "0f0f" not in text and text.count(MASK) >= 4


def test_a_login_is_masked_until_many_others_were_used():
    known_secrets.add_known_secrets(["lasting-secret"])
    known_secrets.remember_recent("first-login")
    for number in range(known_secrets.MAX_RECENT - 1):
        known_secrets.remember_recent(f"login-number-{number}")
        known_secrets.remember_recent("first-login")
    assert known_secrets.mask_known("first-login login-number-0") == f"{MASK} {MASK}"
    known_secrets.remember_recent("one-more-login")
    assert known_secrets.mask_known("first-login one-more-login") == f"first-login {MASK}"
    assert known_secrets.mask_known("lasting-secret") == MASK
    known_secrets.forget_all()
    assert known_secrets.mask_known("one-more-login") == "one-more-login"


def test_a_claim_code_is_masked_though_another_process_issued_it():
    line = "To become the first admin, type in Slack within 15 minutes: /deck claim " + "4f0c5d2e9b7a4c31" * 2
    assert redact(line) == line[:-32] + MASK
    assert redact("claim 4f0c5d2e9b7a4c31, claim it") == "claim 4f0c5d2e9b7a4c31, claim it"
