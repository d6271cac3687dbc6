"""Lines as people type and paste them, and what they are told when it cannot be understood."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.parsing import parser
from commands.catalogue import Catalogue, gather
from commands.spec import TARGETS, Arg, ArgType, Command
from core import errors
from core.model.actions import Risk
from core.model.replies import text_reply
from core.text import command_line

TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12)


async def _no_plan(context):
    return ()


def _command(name: str, *args: Arg, **more) -> Command:
    return Command(
        name=name,
        summary=name,
        examples=(f"{name} web",),
        plan=_no_plan,
        render=lambda context, results: text_reply(name),
        args=args,
        **more,
    )


CATALOGUE: Catalogue = gather(
    ("x", command)
    for command in (
        _command("menu"),
        _command("card", Arg(name="target", type=ArgType.TARGET, required=True, help="one")),
        _command("help", Arg(name="topic", type=ArgType.COMMAND, help="a command")),
        _command("ps", TARGETS, Arg(name="--all", short="a", type=ArgType.FLAG, help="all"), aliases=("ls",)),
        _command(
            "logs",
            Arg(name="target", type=ArgType.TARGET, many=True, required=True, help="containers"),
            Arg(name="--tail", short="n", type=ArgType.COUNT, default=100, maximum=1000, help="lines"),
            Arg(name="--since", type=ArgType.DURATION, help="time"),
            Arg(
                name="--timeout", short="t", hidden_names=("--time",), type=ArgType.SECONDS, maximum=300, help="seconds"
            ),
            Arg(name="--label", short="l", many=True, help="labels"),
            Arg(name="--state", choices=("running", "exited"), help="state"),
            Arg(name="--force", short="f", type=ArgType.FLAG, help="force"),
            Arg(name="--volumes", short="v", type=ArgType.FLAG, help="volumes"),
        ),
        _command(
            "exec", Arg(name="target", required=True, help="one"), Arg(name="words", remainder=True, help="a command")
        ),
        _command("revoke", Arg(name="id", required=True, help="a grant"), risk=Risk.CHANGE),
    )
)


def args(line: str) -> dict:
    return dict(parser.parse(line, CATALOGUE).args)


def refusal(line: str) -> str:
    with pytest.raises(errors.UserError) as caught:
        parser.parse(line, CATALOGUE)
    return caught.value.full_message()


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=300)
@given(st.lists(TEXT, max_size=8))
def test_quoted_words_split_into_themselves(said):
    assert command_line.split_command_line(command_line.quote(said)) == said


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(line):
    try:
        parsed = parser.parse(line, CATALOGUE)
    except errors.UserError as error:
        assert error.full_message()
    else:
        assert parser.parse(parsed.line, CATALOGUE) == parsed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ps  web\tapi ", ["ps", "web", "api"]),
        ("ps 'a b' \"c d\" e\\ f", ["ps", "a b", "c d", "e f"]),
        ("ps “a b” ‘c d’ „e f“", ["ps", "a b", "c d", "e f"]),
        ('ps "say “hi”"', ["ps", "say “hi”"]),
        ("ps ''", ["ps", ""]),
        ("ps a'b'c", ["ps", "abc"]),
        ("ps a\u00a0b\u2003c", ["ps", "a", "b", "c"]),
        ("\u200bps w\u200be\u2060b\ufeff", ["ps", "web"]),
        ("ps 'a\u00a0b\u200b'", ["ps", "a\u00a0b\u200b"]),
        ("ps a&amp;b &lt;x&gt; c&d", ["ps", "a&b", "<x>", "c&d"]),
        ("ps '&lt;@U1&gt;' \\&lt;", ["ps", "<@U1>", "&lt;"]),
        ("ps &amp;lt;", ["ps", "&lt;"]),
        ("ps —all –a a—b — —x", ["ps", "--all", "-a", "a—b", "--", "-x"]),
        ("ps ‑a \\—all '—all'", ["ps", "-a", "—all", "—all"]),
        ("`ps -a`", ["ps", "-a"]),
        ("```\nps -a\n```", ["ps", "-a"]),
        ("ps `web`", ["ps", "`web`"]),
        ('ps "a\\"b\\\\c\\d"', ["ps", 'a"b\\c\\d']),
        ("ps 'a\\'", ["ps", "a\\"]),
    ],
)
def test_words_as_typed(line, expected):
    assert command_line.split_command_line(line) == expected


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('restart "web', 'The quote at character 9 is not closed: "web'),
        ("ps don’t", "The quote at character 7 is not closed"),
        ("ps web\\", "ends with a backslash"),
        ("ps a\x1b[31mb", "Character 5 of the command is a control character (U+001B)"),
        ("ps a\x00b", "U+0000"),
        ("ps a\x85b", "U+0085"),
        ("ps a\ud800b", "U+D800"),
        ("ps a\nps b", "A command must be one line, but this one has 2 lines. Give one command at a time"),
        ("ps " + "a" * 4_000, "has 4,003 characters; the maximum is 4,000"),
        ("ps " + "a " * 128, "129 words; the maximum is 128"),
    ],
)
def test_lines_that_cannot_be_read_say_where_and_what_helps(line, sentence):
    assert sentence in refusal(line)


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("", "menu"),
        ("   ", "menu"),
        ("/deck", "menu"),
        ("?", "help"),
        ("--help", "help"),
        ("LS", "ps"),
        ("/deck ps -a", "ps -a"),
        ("quarterdeck ps", "ps"),
        ("docker ps", "ps"),
        ("Docker Logs Web", "logs Web"),
        ("ls --help", "help ps"),
        ("logs --nonsense -h", "help logs"),
        ("help -h", "help"),
        ("logs “web 1” —tail 5", 'logs "web 1" --tail 5'),
        ("logs -- --help", "logs -- --help"),
        ("exec web ls --help", "exec web ls --help"),
    ],
)
def test_what_was_understood_in_plain_spelling(line, plain):
    assert parser.parse(line, CATALOGUE).line == plain


@pytest.mark.parametrize("line", ["web", "shop/web@docker#4f2a", "lgos"])
def test_a_word_that_is_no_command_may_be_a_name(line):
    parsed = parser.parse(f"/deck {line}", CATALOGUE)
    assert (parsed.command.name, parsed.args["target"], parsed.line) == ("card", line, line)
    assert parsed.args["unknown_command"].startswith("Did you mean" if line == "lgos" else "List all commands")
    for other in ("*ps*", "we?", "-x", "“web"):
        with pytest.raises(errors.UserError):
            parser.parse(other, CATALOGUE)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("lgos web", "There is no command “lgos”. Did you mean logs"),
        ("frobnicate web", "List all commands with: help"),
        ("rsetart web", "There is no command “rsetart”. List all commands with: help"),
        ("web logs", "Write the command first: logs web"),
        ("help lgos", "Did you mean logs"),
    ],
)
def test_unknown_commands_have_a_cure(line, sentence):
    assert sentence in refusal(line)


# ── arguments ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_defaults_fill_every_key():
    assert args("logs web") == {
        "target": ("web",),
        "tail": 100,
        "since": None,
        "timeout": None,
        "label": (),
        "state": None,
        "force": False,
        "volumes": False,
        "share": False,
    }
    assert args("ps")["target"] == ()


@pytest.mark.parametrize("spelling", ["--tail 7", "--tail=7", "-n 7", "-n7", "-n=7", "-fvn7", "-fvn 7", "—tail=7"])
def test_every_spelling_of_an_option(spelling):
    assert args(f"logs {spelling} web")["tail"] == 7
    assert args(f"logs web {spelling}")["target"] == ("web",)


def test_bundles_repeats_and_the_end_of_options():
    assert args("logs -fv web") | {} == args("logs web -v -f")
    assert args("logs -la -l b=c --label=d web")["label"] == ("a", "b=c", "d")
    assert args("logs -f -f web")["force"] is True
    assert args("logs -f -- -v --tail")["target"] == ("-v", "--tail")
    assert args("logs -- -v")["volumes"] is False
    assert args("logs -")["target"] == ("-",)
    assert args("exec web sh -c 'rm -rf x' -- y")["words"] == ("sh", "-c", "rm -rf x", "--", "y")
    assert args("logs web --time 5")["timeout"] == 5


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(minutes=90)),
        ("1D", timedelta(days=1)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_durations(typed, meant):
    assert args(f"logs web --since {typed}")["since"] == meant


def test_numbers():
    assert args("logs web --tail all")["tail"] == 1000
    assert args("logs web -t 0")["timeout"] == 0
    assert args("logs web -t 30s")["timeout"] == 30
    assert args("logs web --state Running")["state"] == "running"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("logs web --tial 5", "logs has no option --tial. Did you mean --tail"),
        ("logs web --tai 5", "Did you mean --tail"),
        ("logs web -x", "logs has no option -x. Its options: -n, --tail COUNT"),
        ("logs web -fx", "logs has no option -x in -fx"),
        ("revoke g-1 --now", "It has no options."),
        ("logs web --tail", "--tail needs a value. Write --tail 50."),
        ("logs --tail -f web", "If -f is the value, write --tail=-f."),
        ("logs --label -- web", "--label needs a value. Write --label LABEL."),
        ("logs web --tail 5 -n 6", "--tail is given twice"),
        ("logs web --force=yes", "The option --force takes no value"),
        ("logs web --tail 0", "whole number from 1 to 1,000"),
        ("logs web --tail -5", "--tail cannot be “-5”"),
        ("logs web --tail ٣", "--tail cannot be “٣”"),
        ("logs web --tail 1001", "from 1 to 1,000"),
        ("logs web -t 301", "a whole number of seconds from 0 to 300"),
        ("logs web -t -1", "-t cannot be “-1”"),
        ("logs web --since 10", "--since 10 has no unit. Write 10s, 10m, 10h or 10d"),
        ("logs web --since soon", "such as 90s, 10m"),
        ("logs web --since 0s", "from 1s to"),
        ("logs web --since 999999999w", "from 1s to"),
        ("logs web --state runing", "Did you mean running? Write one of these: running, exited."),
        ("logs web --label ''", "--label has an empty value. Write LABEL, or leave --label out."),
        ("logs ''", "TARGET is an empty word. For example: logs web"),
        ("logs", "logs needs TARGET: containers. For example: logs web"),
        ("revoke a b", "revoke does not take the argument “b”. Usage: revoke ID"),
        ("logs -5", "logs has no option -5"),
    ],
)
def test_arguments_that_cannot_be_understood_have_a_cure(line, sentence):
    assert sentence in refusal(line)


@given(TEXT.filter(lambda word: word not in ("", "--help", "-h")))
def test_a_target_never_becomes_an_option(word):
    parsed = parser.parse(command_line.quote(["logs", "--", word]), CATALOGUE)
    assert parsed.args == args("logs -- x") | {"target": (word,)}


def test_a_name_or_pattern_of_absurd_length_is_refused():
    told = refusal("ps '" + "[" * 600 + "'")
    assert "has 600 characters; the maximum is 512" in told and "web-*" in told
    assert args("ps " + "a" * 512)["target"] == ("a" * 512,)
