"""Any text as mrkdwn that says that text."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack import markup
from core.text import sanitize
from tests.unit.bot.slack import limits


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web restarted in 1.2 s.", "web restarted in 1.2 s."),
        ("<!channel> & co", "&lt;!channel&gt; &amp; co"),
        ("a * b", "a `*` b"),
        ("my_app_1 _x_", "my_app_1 `_x_`"),
        ("all :white_check_mark: at 03:00:12", "all `:white_check_mark:` at 03:00:12"),
        ("> said", "`&gt;` said"),
        ("use web-* or `ps`", "use `web-*` or `ps`"),
        ("List them with `ps -a`, then give (`rm web`).", "List them with `ps -a`, then give (`rm web`)."),
        ("`<!here> *x*`", "`&lt;!here&gt; *x*`"),
        ("a`b` ` c` ``", "`aˋbˋ` `ˋ` `cˋ` `ˋˋ`"),
        ("@here look", "`@here` look"),
        ("one\ntwo\u202e\x07", "one\ntwo␇"),
        (
            "*until* 2026-11-30T14:05:07Z.",
            "`*until*` <!date^1796047507^{date_short_pretty} {time_secs}|2026-11-30 14:05:07 UTC>.",
        ),
        (
            "(2026-11-30T14:05:07+02:00)",
            "(<!date^1796040307^{date_short_pretty} {time_secs}|2026-11-30 12:05:07 UTC>)",
        ),
        (
            "_x_,2026-11-30T14:05:07Z",
            "`_x_,2026-11-30T14:05:07Z`",
        ),
        ("--since=2026-11-30T14:05:07Z", "--since=2026-11-30T14:05:07Z"),
    ],
)
def test_literal(text: str, shown: str) -> None:
    assert markup.literal(text) == shown


def test_code_and_bold() -> None:
    assert markup.code("a`b\n<x>") == "`aˋb &lt;x&gt;`"
    assert markup.code("") == "`–`"
    assert markup.bold("About web") == "*About web*"
    assert markup.bold("*x*") == "`*x*`"


@given(st.text())
def test_literal_says_the_text_and_nothing_else(text: str) -> None:
    shown = markup.literal(text)
    assert not limits.unsafe(shown)
    marks = str.maketrans("", "", "`ˋ")  # one marks code, the other replaces it
    read = html.unescape(shown.translate(marks)).split("\n")
    lines = sanitize.multiline(text).translate(marks).split("\n")
    assert [line.rstrip() for line in read] == [line.rstrip() for line in lines]


@given(st.text(alphabet=st.sampled_from("ab _*<&\n`\"'"), max_size=400), st.integers(10, 90), st.integers(0, 900))
def test_pieces_keep_their_bounds_and_order(text: str, most: int, room: int) -> None:
    found, whole = markup.pieces(text, budget=room, most=max(most, 20), lead="")
    assert sum(markup.size(piece) for piece in found) <= room
    squeezed = "".join(markup.literal(text).split())
    assert squeezed.startswith("".join("".join(found).split()))
    if whole:
        assert "".join("".join(found).split()) == squeezed


def test_a_long_word_takes_linear_time() -> None:
    word = ":" + "a" * 500_000  # quadratic time would be hours
    assert markup._INTERPRETED.search(word) is None
    assert markup._INTERPRETED.search(word + ":") is not None
    assert markup.literal(":+1: :-1: :a1: :12: :123:") == "`:+1:` `:-1:` `:a1:` :12: `:123:`"
