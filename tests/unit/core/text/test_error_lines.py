"""Which lines of a log look like errors."""

from __future__ import annotations

import pytest

from core.model.results import LogLine
from core.text import error_lines


@pytest.mark.parametrize(
    "text",
    [
        "ERROR: cannot connect",
        '{"level":"error","msg":"x"}',
        "level=fatal msg=x",
        "panic: runtime error",
        "java.lang.NullPointerException: x",
        "E1130 14:05:00.1 kubelet.go] x",
        "2026-11-30 [crit] 7#7: x",
        "build failed",
    ],
)
def test_an_error_is_found(text):
    assert error_lines.is_error(text)


@pytest.mark.parametrize("text", ["ready", "0 errors", "err=nil", "error: null", 'error=""', "terror", "failed=0"])
def test_what_only_has_the_word_is_none(text):
    assert not error_lines.is_error(text)


def test_indented_lines_are_of_the_error_before_them_on_their_stream():
    lines = [
        LogLine(at="", stream=stream, text=text)
        for stream, text in (
            ("stdout", "\tat nothing"),
            ("stderr", "Exception in thread main"),
            ("stdout", "\tat somewhere else"),
            ("stderr", "\tat a.b.C(D.java)"),
            ("stderr", "ready"),
            ("stderr", "\tindented"),
        )
    ]
    assert [line.text for line in error_lines.find_error_lines(lines)] == [
        "Exception in thread main",
        "\tat a.b.C(D.java)",
    ]
