"""Text by strangers: what is left of it when it reaches a person."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.text.sanitize import multiline, single_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web-1", "web-1"),
        ("größe 容器 🐳", "größe 容器 🐳"),
        ("a\tb", "a\tb"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r\x1b\\x", "x"),
        ("\x1b(Bx\x1b7y\x1bcz", "xyz"),
        ("\x1b]unterminated", "unterminated"),
        ("x\x1b", "x␛"),
        ("x\x1b[", "x"),
        ("a\x00b\x07c\x08d\x7fe", "a␀b␇c␈d␡e"),
        ("a\x85b\x90", "a�b�"),
        ("10%\r50%\r100%\r\n", "100%"),
        ("line\r\n", "line"),
        ("a\nb", "a b"),
        ("a\u2028b", "a b"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("a\u200bb\u2066c\ufeffd\u00ade", "abcde"),
        ("a\ud800b", "a�b"),
    ],
)
def test_plain(text, expected):
    assert single_line(text) == expected


def test_a_line_without_end_is_cut_and_says_so():
    assert single_line("b" * 1_048_576) == "b" * 4_096 + "… (1,048,576 characters)"
    assert single_line("b" * 20, limit=10) == "bbbbbbbbbb… (20 characters)"
    assert single_line("b" * 10, limit=10) == "b" * 10


def test_paragraphs_keep_their_lines():
    assert multiline("a\x1b[2J\nb\r\nc") == "a\nb\nc"


@settings(max_examples=300)
@given(st.text(st.sampled_from("\x1b\x9b\x9d\x90\x07\x00\x9c\r\n\t[]P0;?m\\ \u202e\u200f\ud800ab"), max_size=60))
def test_nothing_but_printable_characters_comes_out_and_twice_is_once(text):
    out = single_line(text)
    assert all(character.isprintable() or character == "\t" for character in out)
    assert single_line(out) == out
    assert multiline(out) == out


@pytest.mark.parametrize("unit", ["\x1b]", "\x1b[", "\x1bP", "\x1b", "\x9d", "\r", "\x1b[0", "\x1b ", "\u202e"])
def test_a_megabyte_of_anything_is_read_once(unit):
    assert len(single_line(unit * (1_000_000 // len(unit)))) < 6_000
