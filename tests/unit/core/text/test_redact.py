"""Secrets that must go, look-alikes that must stay, and what hostile text costs."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.replies import Button, Fields, Lines, Reply, Table, Text
from core.text import secret_masker
from core.text.redact import MASK, redact, redact_reply
from core.text.redact_json import contains_env_values, mask_env_values, redact_document

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
BODY = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaU8q5lHBkVf1uQp"


def pem(*lines: str) -> str:
    return "\n".join(("-----BEGIN RSA " + "PRIVATE KEY-----", *lines, "-----END RSA " + "PRIVATE KEY-----"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=••••"),
        ("PGPASSWORD='a b' psql", "PGPASSWORD='••••' psql"),
        ("REDIS_PASS=x DB_PWD=y", "REDIS_PASS=•••• DB_PWD=••••"),
        ("AWS_SECRET_ACCESS_KEY=abc/d+e=", "AWS_SECRET_ACCESS_KEY=••••"),
        ('{"password":"hun\\"ter2","user":"bob"}', '{"password":"••••","user":"bob"}'),
        ('{\\"api_key\\":\\"abc\\",\\"user\\":\\"bob\\"}', '{\\"api_key\\":\\"••••\\",\\"user\\":\\"bob\\"}'),
        ("password: hunter2", "password: ••••"),
        ("X-Api-Key: abc123", "X-Api-Key: ••••"),
        ("Server=x;Password=abc;Database=prod", "Server=x;Password=••••;Database=prod"),
        ("/cb?token=abc&user=bob", "/cb?token=••••&user=bob"),
        ("SECRET_KEY=a,b;c&d", "SECRET_KEY=••••"),
        ("client_secret => 'x'", "client_secret => '••••'"),
        ("password:hunter2", "password:••••"),
        ("mysql --password hunter2 -h db", "mysql --password •••• -h db"),
        ("run --api-key=abc --auth-token 'a b'", "run --api-key=•••• --auth-token ••••"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ••••"),
        ('"authorization": "Basic dXNlcjpwYXNz"', '"authorization": "Basic ••••"'),
        ("sent bearer 0a1b2c3d4e5f", "sent bearer ••••"),
        ("Set-Cookie: sid=1; Path=/", "Set-Cookie: ••••"),
        ("postgres://app:p@ss@db:5432/x", "postgres://app:••••@db:5432/x"),
        ("redis://:pw@cache:6379/0", "redis://:••••@cache:6379/0"),
        ("https://0123456789abcdef01234567@github.com/a", "https://••••@github.com/a"),
        (f"jwt {JWT} end", "jwt •••• end"),
        ("https://hooks.slack.com/services/" + "T0/B0/xyz", "https://hooks.slack.com/services/••••"),
    ],
)
def test_secrets_by_name_and_place(text, expected):
    assert redact(text) == expected
    assert redact(expected) == expected


PREFIXES = (
    *("ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xapp-", "sk-", "sk-ant-", "sk-proj-", "AIza", "hf_"),
    *("npm_", "pypi-AgE", "dckr_pat_", "sk_live_", "rk_live_", "hvs.", "SG.0123456789abcdefghijkl.", "SWMTKN-1-"),
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_tokens_by_their_prefix(prefix):
    secret = prefix + "0123456789abcdef" * 3
    for text in (secret, f"pull with {secret}, then push", f'"{secret}"'):
        out = redact(text)
        assert "89abcdef0123" not in out
        assert redact(out) == out
    assert redact("pull with AKIA" + "IOSFODNN7EXAMPLE now") == "pull with AKIA•••• now"


@pytest.mark.parametrize(
    "text",
    [
        "4f2a9c0d1e2b nginx@sha256:" + "0a" * 32,
        "9f0c6c58-2b7d-4b0e-8f43-1c6d0e3a5b1f",
        "vault-secrets:1.2.3 registry:5000/token-service:latest secret-manager@sha256:" + "ab" * 32,
        "the token expired; no password was given, see the secret santa list",
        "Unexpected token } in JSON at position 4",
        "max_tokens=4096 total_tokens: 17",
        "PWD=/app OLDPWD=/srv",
        "password: null token=true secret: {",
        "POSTGRES_PASSWORD_FILE=/run/secrets/pg tls_key_file: /x",
        "task-runner disk-usage sk-learn-serving-production hf_hub npm_config_cache",
        "http://registry:5000/v2/ https://github.com/a/b@v1 git@github.com:a/b ssh://git@host/x",
        "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        "PASS: 3 tests, compass: north, passing=3",
        "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaU8q5lHBkVf1uQp",
        "-----BEGIN CERTIFICATE-----\n" + BODY + "\n-----END CERTIFICATE-----",
        "confirm k7f3m2xq",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_private_keys():
    assert redact("a\n" + pem(BODY, BODY, "abc=") + "\nb") == "a\n" + pem(MASK).replace("\n", "") + "\nb"
    one_line = pem(BODY, "abc=").replace("\n", "\\n")
    assert redact(f'{{"k":"{one_line}"}}') == '{"k":"' + pem(MASK).replace("\n", "") + '"}'


@pytest.mark.parametrize("prefix", ["", "web | ", "2026-11-24T00:00:00Z "])
def test_private_keys_cut_at_either_end(prefix):
    whole = [prefix + line for line in pem(BODY, BODY, BODY, "abcd").split("\n")]
    tail = redact("\n".join([*whole[2:], prefix + "listening on :80"]))
    assert BODY not in tail
    assert "abcd" not in tail
    assert tail.endswith("listening on :80")
    head = redact("\n".join([*whole[:3], prefix + "listening on :80"]))
    assert BODY not in head
    assert head.endswith("listening on :80")


def test_a_reply_is_redacted_everywhere():
    secret = "PASSWORD=hunter2"
    key = pem(BODY, BODY).split("\n")
    reply = Reply(
        blocks=(
            Text(text=secret),
            Lines(lines=("ok", *key, "after"), title=secret),
            Lines(lines=()),
            Table(columns=("A", "B"), rows=((secret, 7), ("x", 1.5)), title=secret, empty=secret),
            Fields(fields={"DB_PASSWORD": "hunter2", "image": "nginx", "note": secret}, title=secret),
        ),
        buttons=(Button(label=secret, line="confirm k7f3m2xq"),),
    )
    safe = redact_reply(reply)
    assert "hunter2" not in repr(safe)
    assert BODY not in repr(safe)
    assert safe.blocks[1].lines[0] == "ok"
    assert safe.blocks[1].lines[-1] == "after"
    assert safe.blocks[2].lines == ()
    assert safe.blocks[3].rows[1] == ("x", 1.5)
    assert safe.blocks[4].fields == {"DB_PASSWORD": MASK, "image": "nginx", "note": f"PASSWORD={MASK}"}
    assert safe.buttons[0].line == "confirm k7f3m2xq"
    assert redact_reply(safe) == safe


def test_environments_are_hidden():
    entries = {"Env": ["A=1", "B=", "C", "D=a=b"]}
    assert mask_env_values(entries)["Env"] == ["A=••••", "B=", "C", "D=••••"]
    document = {
        "Config": {
            "Env": ["A=1", "PATH=/bin"],
            "environ": ["A=1"],
            "CreateCommand": ["podman", "run", "-e", "A=1", "--env=B=2", "-eC=3", "x"],
        },
        "Args": ["--password", "hunter2", "serve"],
        "process": {"env": {"K": "v", "E": ""}},
        "containers": [{"envs": [{"key": "K", "value": "v"}]}],
        "Environment": None,
        "Name": "web",
    }
    before = copy.deepcopy(document)
    assert mask_env_values(document) is document
    assert document["Config"]["Env"] == ["A=••••", "PATH=••••"]
    assert document["Config"]["CreateCommand"] == ["podman", "run", "-e", "A=••••", "--env=B=••••", "-eC=••••", "x"]
    assert document["Args"] == ["--password", MASK, "serve"]
    assert document["process"]["env"] == {"K": MASK, "E": ""}
    assert document["containers"] == [{"envs": [{"key": "K", "value": MASK}]}]
    assert (document["Environment"], document["Name"]) == (None, before["Name"])


PIECES = st.sampled_from(
    (
        *(
            "password",
            "token",
            "_key",
            "secret",
            "=",
            ":",
            " ",
            '"',
            "'",
            "\\",
            ",",
            ";",
            "&",
            "://",
            "@",
            "--",
            "eyJ",
            ".",
        ),
        *(
            "Bearer ",
            "authorization",
            "cookie: ",
            "ghp_",
            "a" * 20,
            "1",
            "\n",
            "{",
            "}",
            MASK,
            "null",
            "pwd",
            "/",
            BODY,
        ),
        *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
    )
)


def test_a_key_glued_to_another_secret_is_redacted_once_and_for_all():
    begin, end = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    once = redact(f"{begin}password=>{begin}{end}")
    assert redact(once) == once


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_redacting_twice_changes_nothing(text):
    once = redact(text)
    assert redact(once) == once


@settings(max_examples=200)
@given(st.text(st.characters(exclude_characters="\n\r"), min_size=1, max_size=20))
def test_any_quoted_password_is_gone(secret):
    marked = f"QZ{secret}ZQ".replace("\\", "").replace('"', "")
    assert marked not in redact(f'"password": "{marked}", "user": "bob"')


UNITS = (
    *(
        "eyJ",
        "eyJ-",
        "password=",
        'password="',
        "-----BEGIN PRIVATE KEY-----",
        "://a:",
        "token-",
        "bearer ",
        "--a-",
        "a",
    ),
    *("secret_", "xoxb-", "SG.a", "password=,;&", ",a", "sk-ant-", "\\", "://", "cookie:", "A" * 64 + "\n", "--"),
)


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_line_of_anything_is_read_a_bounded_number_of_times(unit):
    # Runaway backtracking would take hours here and end in the suite's time limit.
    text = unit * (200_000 // len(unit))
    assert isinstance(redact(text), str)
    assert isinstance(redact("password=" + text + "-----END PRIVATE KEY-----"), str)


def test_every_hint_lets_its_rule_be_reached():
    for rule in secret_masker.PATTERNS:
        assert rule.hints and all(rule.hints)
        assert all(hint == hint.lower() for hint in rule.hints)


def test_what_is_masked_already_keeps_what_closes_it():

    document = {"Env": ["PASSWORD=••••", "A=••••", "TOKEN=hunter2hunter2"]}
    text = redact(json.dumps(document, indent=2, ensure_ascii=False))
    assert json.loads(text) == {"Env": ["PASSWORD=••••", "A=••••", "TOKEN=••••"]}
    assert "hunter2" not in redact("password=••••hunter2")


def test_a_document_is_hidden_all_through():
    told = {
        "HttpProxy": "http://me:hunter2@proxy:3128",
        "NoProxy": "localhost",
        "Options": {"o": "addr=nas,username=me,password=hunter2"},
        "Labels": ["token=hunter2"],
        "Config": {"Env": ["A=hunter2"]},
        "Count": 3,
        "Nothing": None,
    }
    hidden = redact_document(told)
    assert "hunter2" not in repr(hidden)
    assert "proxy:3128" in hidden["HttpProxy"] and "addr=nas" in hidden["Options"]["o"]
    assert (hidden["NoProxy"], hidden["Count"], hidden["Nothing"]) == ("localhost", 3, None)
    assert told["HttpProxy"].endswith("hunter2@proxy:3128") and told["Config"]["Env"] == ["A=hunter2"]


def test_a_long_document_is_searched_in_parts_and_nothing_in_it_is_missed():
    names = [f"note {number}" for number in range(300)]
    labels = dict.fromkeys(names, "harmless") | {
        "note 70": "token=hunter2",
        "note 200": "a\x1b[0mb",
        "DB_PASSWORD": "hunter3",
    }
    words = ["run", *["x"] * 2_000, "--password", "hunter4"]
    listed = ["harmless"] * 70 + ["postgres://me:hunter5@db"] + ["harmless"] * 70
    hidden = redact_document({"Labels": labels, "Cmd": words, "List": listed, "Numbers": [1, None, "a", {"b": "c"}]})
    assert "hunter" not in repr(hidden)
    assert list(hidden["Labels"]) == list(labels) and hidden["Labels"]["note 200"] == "ab"
    assert sum(value == "harmless" for value in hidden["Labels"].values()) == 298
    assert hidden["Cmd"][:500] == words[:500] and len(hidden["Cmd"]) == len(words)
    assert hidden["List"][:70] == hidden["List"][71:] == ["harmless"] * 70
    assert hidden["Numbers"] == [1, None, "a", {"b": "c"}]


def test_a_secret_that_was_asked_for_is_let_through_and_nothing_beside_it():
    line = "docker swarm join --token SWMTKN-1-0123456789abcdef0123456789abcdef 10.0.0.1:2377"
    asked = Reply(blocks=(Lines(lines=(line,), secret=True), Text(text=line), Lines(lines=(line,))))
    shown = redact_reply(asked)
    assert shown.secret and not Reply(blocks=shown.blocks[1:]).secret
    assert shown.blocks[0].lines == (line,)
    assert "89abcdef" not in shown.blocks[1].text and "89abcdef" not in shown.blocks[2].lines[0]


def test_values_of_the_environment_hide_in_json_within_json_and_in_glued_flags():
    applied = {"spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": "hunter2"}], "image": "web:1"}]}}
    document = {
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied), "note": "{not json"},
        "CreateCommand": ["podman", "run", "-dite", "PGPASS=hunter2", "-deCOLOUR=hunter3", "--rm", "-it", "web"],
        "list": [json.dumps(applied)],
    }
    shown = json.dumps(mask_env_values(document))
    assert "hunter" not in shown
    for kept in ("DB_PASSWORD", "web:1", "{not json", "PGPASS", "COLOUR", "--rm"):
        assert kept in shown
    assert contains_env_values(["podman", "run", "-de", "A=b", "web"])
    assert not contains_env_values(["podman", "run", "-d", "--name", "e=f", "web"])
