"""Fragments of long lines, joiner into lines, in chunks of any size; and a reader that leaves out what was read."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from runtimes.formats import log_decoder
from runtimes.podman import log_frame_joiner

AT = b"2026-11-24T17:23:32Z "


def frame(text, stream=1):
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


BODY = b"".join(
    [
        frame(AT + b"one\n"),
        frame(AT + b"a" * 9),
        frame(AT + b"err\n", 2),
        frame(AT + b"b" * 9),
        frame(AT + b"\n"),
        frame(AT + b"2026-11-24T17:23:33Z said itself\n"),
        frame(AT + b"open"),
    ]
)
LINES = [("stdout", "one"), ("stderr", "err"), ("stdout", "a" * 9 + "b" * 9)]
LINES += [("stdout", "2026-11-24T17:23:33Z said itself"), ("stdout", "open")]


@given(st.lists(st.integers(0, len(BODY)), max_size=8))
def test_a_line_in_fragments_is_one_line_with_one_time(cuts):
    joiner, reader = log_frame_joiner.LogFrameJoiner(), log_decoder.LogDecoder(100)
    places = [0, *sorted(cuts), len(BODY)]
    for begin, end in itertools.pairwise(places):
        reader.feed(joiner.feed(BODY[begin:end]))
    reader.finish()
    assert [(line.stream, line.text) for line in reader.lines] == LINES
    assert {line.at for line in reader.lines} == {AT.decode().strip()}


def test_a_line_of_a_megabyte_is_cut_and_told_so():
    joiner, reader = log_frame_joiner.LogFrameJoiner(), log_decoder.LogDecoder(10)
    for _ in range(125):
        reader.feed(joiner.feed(frame(AT + b"x" * 8000)))
    reader.feed(joiner.feed(frame(AT + b"\n")))
    (line,) = reader.lines
    assert line.text.endswith("more bytes)") and "2026" not in line.text


def test_a_large_frame_in_small_chunks_is_copied_once():
    joiner, whole = log_frame_joiner.LogFrameJoiner(), frame(AT + b"x" * (1 << 20) + b"\n")
    last = len(whole) - 16
    for at in range(0, last, 16):
        assert joiner.feed(whole[at : min(at + 16, last)]) == b""
    assert len(joiner._later) > 60_000, "nothing is joined before the frame ends"
    assert joiner.feed(whole[last:]) == whole


def test_what_is_no_frame_is_said_to_be_none():
    with pytest.raises(errors.InvalidResponse, match="does not consist of frames"):
        log_frame_joiner.LogFrameJoiner().feed(b"plain text of somebody")


@given(st.lists(st.integers(30, 33), min_size=1, max_size=12).map(sorted), st.integers(0, 12))
def test_reading_on_from_any_line_repeats_and_loses_nothing(seconds, read):
    """Times are whole seconds, so several lines have the same one."""
    body = [frame(b"2026-11-24T17:23:%dZ %d\n" % (at, number)) for number, at in enumerate(seconds)]
    first = log_decoder.LogDecoder(100)
    for one in body[:read]:
        first.feed(one)
    after, seen = first.newest
    rest = log_decoder.LogDecoder(100, after=after, seen=seen)
    for one in body:
        rest.feed(one)
    assert [line.text for line in (*first.lines, *rest.lines)] == [str(number) for number in range(len(body))]
