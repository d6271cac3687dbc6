"""A mask covers a secret, and not the quotes and brackets around it."""

import json

import pytest

from core.text import sanitize
from core.text.redact import redact
from tests.unit.core.text.test_secret_corpus import ONE_LINE, is_left


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        # JSON
        ('["PASSWORD=x9y8"]', '["PASSWORD=••••"]'),
        ('["--env", "PASSWORD=x9y8", "run"]', '["--env", "PASSWORD=••••", "run"]'),
        ('["PASSWORD=x9y8","run"]', '["PASSWORD=••••","run"]'),
        ("['--env=PASSWORD=x9y8', 'run']", "['--env=PASSWORD=••••', 'run']"),
        ('{"Env":["PASSWORD=x9y8","A=b"]}', '{"Env":["PASSWORD=••••","A=b"]}'),
        ('{"a":[{"msg":"PASSWORD=x9y8"}],"n":2}', '{"a":[{"msg":"PASSWORD=••••"}],"n":2}'),
        ('{"password":123456}', '{"password":••••}'),
        ('{"db":{"password":123456},"n":"b"}', '{"db":{"password":••••},"n":"b"}'),
        (r'{"log":"{\"env\":[\"PASSWORD=x9y8\"]}"}', r'{"log":"{\"env\":[\"PASSWORD=••••\"]}"}'),
        ('{"log":"GET /?api_key=k3y9k3y9k3y9"}', '{"log":"GET /?api_key=••••"}'),
        ('["the password is hunter2"]', '["the password is ••••"]'),
        ('["password: hunter2"]', '["password: ••••"]'),
        # YAML
        ("{password: hunter2}", "{password: ••••}"),
        ("env: {password: hunter2, user: bob}", "env: {password: ••••, user: bob}"),
        ("env: [PASSWORD=hunter2, A=b]", "env: [PASSWORD=••••, A=b]"),
        # Python
        ("['PASSWORD=hunter2']", "['PASSWORD=••••']"),
        ("{'env': ['PASSWORD=hunter2'], 'n': 'b'}", "{'env': ['PASSWORD=••••'], 'n': 'b'}"),
        ("Config(password=hunter2)", "Config(password=••••)"),
        ("Config(user=bob, password=hunter2)", "Config(user=bob, password=••••)"),
        # a shell
        ("sh -c 'PASSWORD=hunter2 run'", "sh -c 'PASSWORD=•••• run'"),
        ('sh -c "export PASSWORD=hunter2"', 'sh -c "export PASSWORD=••••"'),
        ("echo $(PASSWORD=hunter2)", "echo $(PASSWORD=••••)"),
        ("`PASSWORD=hunter2`", "`PASSWORD=••••`"),
        ("it's (don't know) password=hunter2", "it's (don't know) password=••••"),
        # Nothing is open, or something else is: the sign may belong to the secret.
        ("PASSWORD=hunter2)]", "PASSWORD=••••"),
        ("(PASSWORD=hunter2]", "(PASSWORD=••••"),
        ("{PASSWORD=hunter2}}}", "{PASSWORD=••••}"),
        ("['PASSWORD=a\"]b']", "['PASSWORD=••••']"),
        # Some signs belong together.
        ('[("PASSWORD=hunter2"),', '[("PASSWORD=••••"),'),
    ],
)
def test_what_closes_something_readable_is_readable(line: str, shown: str) -> None:
    assert redact(line) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ('["', '"]'),
        ('{"a":[{"log":"', '"}]}'),
        ('f("', '")'),
        ('sh -c "', '"'),
        ('"', '",'),
        ('["', '", "run", "B=1"]'),
    ],
)
def test_the_corpus_keeps_what_stands_around_it_and_hides_every_secret(head: str, tail: str) -> None:
    left, lost = [], []
    for text, secret in ONE_LINE:
        inside = json.dumps(text)[1:-1]
        shown = redact(f"{head}{inside}{tail}")
        if is_left(inside, json.dumps(secret)[1:-1], sanitize.letters(shown)):
            left.append((text, shown))
        if "•" in shown and not shown.endswith(tail):
            lost.append((text, shown))
    # Some headers are masked to the end of the line, whatever follows.
    assert [one for one in left if not one[0].startswith("> PASS ")] == [] and len(lost) <= 5, lost


@pytest.mark.parametrize("around", ["()", "[]", "{}", "<>", "``", "**", "~~", "“”", "„“", "«»", "‹›", "「」"])
def test_no_bracket_or_mark_around_a_line_of_the_corpus_shows_its_secret(around: str) -> None:
    shown = [(secret, text, redact(f"{around[0]}{text}{around[1]}")) for text, secret in ONE_LINE]
    assert [each for each in shown if is_left(each[1], each[0], sanitize.letters(each[2]))] == []


@pytest.mark.parametrize(
    "line",
    [
        "<mnemonic: apple river>",
        "*passphrase: not set*",
        "see <https://docs.example/sftp:1.2>",
        "*user:group:1000*",
        "<sentinel down-after-milliseconds mymaster 5000>",
        "`psexec.py admin@192.0.2.7`",
        "«community meeting at 10»",
        "(| password | varchar(255) | NO |)",
        "«| password | varchar(255) | NO |»",
    ],
)
def test_harmless_text_in_such_signs_stays(line: str) -> None:
    assert redact(line) == line
