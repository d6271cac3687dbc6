"""Log bodies into lines: any split of the bytes gives the same lines, and nothing a container writes is unbounded."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from core.model import results
from runtimes.formats.log_decoder import PIECE, LogDecoder, pieces

AT = b"2026-01-02T03:04:05.000000001Z "


def frame(stream, payload):
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def read(body, cuts=(), keep=100, clip=64):
    reader, last = LogDecoder(keep, max_line=clip), 0
    for cut in [*sorted(cut for cut in cuts if cut < len(body)), len(body)]:
        reader.feed(body[last:cut])
        last = cut
    reader.finish()
    return reader


BODY = (
    frame(1, AT + b"one\n")
    + frame(2, AT + b"two\r\n")
    + frame(1, AT + b"half ")
    + frame(2, AT + b"err\n")
    + frame(1, b"more\n")
    + frame(1, AT + b"x" * 100 + b"\n")
    + frame(1, AT + b"no newline")
)


@given(st.lists(st.integers(min_value=1, max_value=len(BODY)), max_size=12))
def test_any_split_gives_the_same_lines(cuts):
    lines = list(read(BODY, cuts).lines)
    assert [(line.stream, line.text[:10]) for line in lines] == [
        ("stdout", "one"),
        ("stderr", "two"),
        ("stderr", "err"),
        ("stdout", "half more"),
        ("stdout", "xxxxxxxxxx"),
        ("stdout", "no newline"),
    ]
    assert lines[0].at == "2026-01-02T03:04:05.000000001Z"
    assert "more bytes" in lines[4].text
    assert len(lines[4].text) < 100


def test_a_terminal_stream_has_no_frames():
    lines = read(AT + b"plain\n" + AT + b"text").lines
    assert [(line.stream, line.text) for line in lines] == [("stdout", "plain"), ("stdout", "text")]


def test_short_bodies():
    assert not read(b"").lines
    assert read(b"ab").lines[0].text == "ab"


def test_only_the_newest_lines_are_kept_and_the_rest_counted():
    reader = read(b"".join(frame(1, AT + b"%d\n" % number) for number in range(1000)), keep=10)
    assert [line.text for line in reader.lines] == [str(number) for number in range(990, 1000)]
    assert reader.dropped == 990


def test_bytes_that_are_no_text_do_not_stop_it():
    assert "�" in read(frame(1, AT + b"\xff\xfe\n")).lines[0].text


def test_a_page_has_a_limit_of_characters_and_counts_what_it_leaves_out():
    reader = LogDecoder(1000, max_characters=100)
    for number in range(50):
        reader.feed(frame(1, AT + b"%02d" % number + b"x" * 8 + b"\n"))
    assert [line.text[:2] for line in reader.lines] == [str(number) for number in range(40, 50)]
    assert (reader.dropped, reader.too_large) == (40, 40)
    lines, dropped = reader.take()
    assert (len(lines), dropped) == (10, 40)
    reader.feed(frame(1, AT + b"y" * 5000 + b"\n"))
    assert len(reader.lines) == 1, "one line is always shown; it has its own limit"


def test_a_page_without_a_given_limit_has_one():
    reader = LogDecoder(10_000)
    block = frame(1, AT + b"z" * 16_000 + b"\n")
    for _ in range(2_000):
        reader.feed(block)
    assert sum(len(line.text) for line in reader.lines) <= results.MAX_PAGE_CHARACTERS
    assert reader.dropped + len(reader.lines) == 2_000


async def test_a_long_chunk_is_cut_and_the_loop_runs_between_its_pieces():
    body, turns, sizes = b"\n" * (3 * PIECE + 1), 0, []

    async def chunks():
        yield body
        yield b"end"

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    async for piece in pieces(chunks()):
        sizes.append(len(piece))
    counter.cancel()
    assert sizes == [PIECE, PIECE, PIECE, 1, 3]
    assert turns >= 3
