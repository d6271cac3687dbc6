"""Batches of whole lines, wherever a stream is split, and a bound on a line that does not end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runtimes.transport.line_splitter import MAX_LINE, LineReader, LineSplitter
from tests.unit.runtimes.transport.scripted import CHUNKED, PATIENCE, Engine, calling, serving

# Three events of Docker 20.10 and one of Podman 4.3, shortened; the empty line is one that Docker may send.
RECORDED = (
    b'{"status":"create","id":"4f2a","from":"busybox","Type":"container","Action":"create","timeNano":1700000000123}\n'
    b'{"Type":"network","Action":"connect","Actor":{"ID":"9c","Attributes":{"name":"br\xc3\xbccke"}}}\n'
    b"\n"
    b'{"status":"start","id":"4f2a","Type":"container","Action":"start"}\r\n'
    b'{"Name":"web","Status":"died","Time":"2023-11-14T22:13:20.5Z","Type":"container"}\n'
)


def test_every_split_of_a_stream_gives_the_same_lines() -> None:
    expected = [line for line in RECORDED.split(b"\n") if line]
    for at in range(len(RECORDED) + 1):
        splitter = LineSplitter()
        batches = [splitter.feed(part) for part in (RECORDED[:at], RECORDED[at:])]
        assert [line for line in b"\n".join(batches).split(b"\n") if line] == expected
        assert splitter.rest == b""


@pytest.mark.parametrize("size", [1, 2, 7, 64, 65_536])
def test_chunks_of_any_size_give_the_same_lines(size: int) -> None:
    splitter = LineSplitter()
    batches = [splitter.feed(RECORDED[at : at + size]) for at in range(0, len(RECORDED), size)]
    found = [line for batch in batches for line in batch.split(b"\n") if line]
    assert found == [line for line in RECORDED.split(b"\n") if line]


def test_what_has_no_newline_yet_is_the_rest() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntwo\nthr") == b"one\ntwo"
    assert splitter.rest == b"thr"
    assert splitter.feed(b"ee") == b""
    assert splitter.feed(b"\n") == b"three"
    assert splitter.rest == b""


def test_a_line_may_be_as_long_as_the_limit() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"x" * MAX_LINE) == b""
    assert splitter.feed(b"\n") == b"x" * MAX_LINE


@pytest.mark.parametrize("size", [1000, 4096, 3 * MAX_LINE])
def test_a_line_beyond_the_limit_is_left_out_and_the_next_ones_are_read(size: int) -> None:
    long_lines: list[None] = []
    splitter = LineSplitter(lambda: long_lines.append(None))
    data = b"one\n" + b"x" * (2 * MAX_LINE) + b"\ntwo\nthree\n" + b"y" * (2 * MAX_LINE) + b"\nfour\n"
    found = []
    for at in range(0, len(data), size):
        found += splitter.feed(data[at : at + size]).split(b"\n")
        assert len(splitter.rest) <= MAX_LINE
    if size > len(data) // 2:  # a line that ends within its chunk needs no memory beyond the chunk
        assert [line for line in found if len(line) < 10 and line] == [b"one", b"two", b"three", b"four"]
        return
    assert list(filter(None, found)) == [b"one", b"two", b"three", b"four"]
    assert len(long_lines) == 2


async def test_a_stream_is_read_by_lines(tmp_path: Path) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED)
        for at in range(0, len(RECORDED), 10):
            writer.write(b"a\r\n%s\r\n" % RECORDED[at : at + 10].ljust(10))
            await writer.drain()
        writer.write(b"4\r\nrest\r\n0\r\n\r\n")

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/events", deadline=PATIENCE)
        reader = stream.lines()
        found = [line for batch in [batch async for batch in reader] for line in batch.split(b"\n") if line]
        assert found == [line for line in RECORDED.split(b"\n") if line]
        assert (reader.rest.strip(), stream.cut) == (b"rest", False)
        await stream.aclose()


async def test_a_stream_goes_on_after_a_line_beyond_the_limit(tmp_path: Path) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED)
        for _ in range(2 * MAX_LINE // 0x10000):
            writer.write(b"10000\r\n%s\r\n" % (b"x" * 0x10000))
            await writer.drain()
        writer.write(b"7\r\n\nlast!\n\r\n0\r\n\r\n")

    long_lines: list[None] = []
    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/events", deadline=PATIENCE)
        found = [batch async for batch in stream.lines(lambda: long_lines.append(None))]
        assert (b"\n".join(found), len(long_lines)) == (b"last!", 1)
        await stream.aclose()


async def test_the_end_of_what_is_read_ends_the_lines() -> None:
    async def ends() -> bytes:
        raise StopAsyncIteration

    assert [batch async for batch in LineReader(ends)] == []


def test_a_long_line_in_small_chunks_is_copied_once() -> None:
    """A line of 1 MiB in chunks of 16 bytes: to join it with each chunk would copy 32 GiB."""
    splitter = LineSplitter()
    pieces = 0
    for _ in range(MAX_LINE // 16 - 1):
        assert splitter.feed(b"x" * 16) == b""
        pieces += 1
        assert len(splitter._begun) == pieces, "nothing is joined before the line ends"
    assert splitter.feed(b"y\nz") == b"x" * 16 * pieces + b"y"
    assert splitter.rest == b"z"
