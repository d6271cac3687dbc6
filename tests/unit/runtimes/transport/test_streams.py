"""Streams of the engine client: in order, never holding up the engine, ends told apart, places given back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from core import errors
from runtimes.transport import http_connection
from runtimes.transport.http_client import HttpClient
from tests.helpers.deadlines import sent_in_vain
from tests.unit.runtimes.transport.scripted import (
    CHUNKED,
    OK,
    PATIENCE,
    Answer,
    Engine,
    answer_never,
    answer_with,
    calling,
    serving,
    until,
)


async def test_a_stream_yields_the_body_in_order(tmp_path: Path) -> None:
    lines = [b'{"n":%d}\n' % number for number in range(500)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED + chunks + b"0\r\n\r\n")
        await reader.read()  # the engine would keep the connection; its end is ours to make

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        for _ in range(2):
            stream = await client.stream("GET", "/events", deadline=PATIENCE)
            assert (stream.status, stream.headers) == (200, {"transfer-encoding": "chunked"})
            got = [part async for part in stream.chunks()]
            assert b"".join(got) == b"".join(lines)
            assert (stream.cut, stream.overflowed) == (False, False)
            assert await stream.read() == b""
        await until(lambda: not client._streaming and engine.open == 0)
        assert len(engine.requests) == 2


@pytest.mark.parametrize(
    ("wire", "body", "cut"),
    [
        (CHUNKED + b"2\r\nab\r\n", b"ab", True),
        (CHUNKED + b"9\r\nab", b"ab", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", b"ab", True),
        (b"HTTP/1.1 200 OK\r\n\r\nab", b"ab", False),
        (CHUNKED + b"2\r\nab\r\n0\r\n\r\n", b"ab", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", False),
    ],
)
async def test_the_end_of_a_stream_tells_whether_it_was_cut(
    tmp_path: Path, wire: bytes, body: bytes, cut: bool
) -> None:
    async with serving(tmp_path, answer_with(wire)) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/", deadline=PATIENCE)
        assert await stream.read_all(100) == body
        assert stream.cut is cut


async def test_a_stream_that_breaks_off_in_rubbish_is_garbled_after_what_came_before(tmp_path: Path) -> None:
    turn = asyncio.Event()

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED + b"2\r\nab\r\n")
        await turn.wait()
        writer.write(b"rubbish\r\n")
        await reader.read()

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/", deadline=PATIENCE)
        await until(lambda: bool(stream._connection._parts))
        turn.set()
        await until(lambda: stream._connection.ended)
        assert await stream.read() == b"ab"
        with pytest.raises(errors.InvalidResponse):
            await stream.read()
        assert await stream.read() == b""


def answer_flood(total: int, sent: asyncio.Event) -> Answer:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED)
        for _ in range(total >> 10):
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        sent.set()

    return answer


async def test_a_slow_consumer_loses_the_stream_and_does_not_stall_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_flood(8 << 20, asyncio.Event())) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/events", deadline=PATIENCE, max_buffer=64 << 10)
        await until(lambda: stream.overflowed)
        assert [part async for part in stream.chunks()] == []
        assert stream.cut is False  # ended by us, and said so by the other word
        assert not stream._connection._parts
        await until(lambda: engine.open == 0)
        assert not client._streaming


async def test_a_consumer_that_keeps_up_may_read_more_than_the_buffer_holds(tmp_path: Path) -> None:
    turns = asyncio.Semaphore(0)

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED)
        for _ in range(20):
            writer.write(b"8\r\n12345678\r\n")
            await turns.acquire()

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/events", deadline=PATIENCE, max_buffer=8)
        for _ in range(20):
            assert await stream.read() == b"12345678"
            turns.release()
        assert await stream.read() == b""
        assert (stream.cut, stream.overflowed) == (True, False)


async def test_a_buffer_that_is_large_enough_takes_all_without_being_read(tmp_path: Path) -> None:
    sent = asyncio.Event()
    async with serving(tmp_path, answer_flood(4 << 20, sent)) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/events", deadline=PATIENCE, max_buffer=4 << 20)
        async with asyncio.timeout(PATIENCE):
            await sent.wait()  # the engine could write everything although nobody asked for a byte
        assert len(await stream.read_all(4 << 20)) == 4 << 20
        assert stream.overflowed is False


async def test_a_pausing_stream_waits_for_its_consumer_and_loses_nothing(tmp_path: Path) -> None:
    sent = asyncio.Event()
    async with serving(tmp_path, answer_flood(8 << 20, sent)) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/logs", deadline=PATIENCE, max_buffer=64 << 10, pause=True)
        transport = stream._connection._transport
        assert transport is not None
        await until(lambda: not transport.is_reading())
        assert stream._connection._size <= (64 << 10) + http_connection.BLOCK
        assert not sent.is_set()
        size = 0
        async for part in stream.chunks():
            size += len(part)
        assert size == 8 << 20
        assert (stream.cut, stream.overflowed) == (False, False)


async def test_a_cancelled_read_loses_nothing(tmp_path: Path) -> None:
    turn = asyncio.Event()

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED)
        await turn.wait()
        writer.write(b"2\r\nab\r\n0\r\n\r\n")
        await reader.read()

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/", deadline=PATIENCE)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(aiter(stream))
        turn.set()
        assert await stream.read_all(2) == b"ab"


async def test_reading_all_is_bounded(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_with(OK)) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/", deadline=PATIENCE)
        with pytest.raises(errors.InvalidResponse, match="longer than 1 bytes"):
            await stream.read_all(1)
        await stream.aclose()
    async with serving(tmp_path, answer_endless) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/", deadline=PATIENCE)
        with pytest.raises(errors.TimedOut) as caught:
            await stream.read_all(100, deadline=0.02)
        assert caught.value.sent is True


async def answer_endless(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await engine.hear(reader)
    writer.write(CHUNKED + b"2\r\nab\r\n")
    await reader.read()


async def test_closing_a_stream_frees_its_place_and_hurts_no_request(tmp_path: Path) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await engine.hear(reader)
            writer.write(CHUNKED if engine.requests[-1].startswith("GET /events") else OK)

    async with serving(tmp_path, answer) as engine, calling(engine, connections=1) as client:
        for _ in range(3):
            stream = await client.stream("GET", "/events", deadline=PATIENCE)
            with pytest.raises(errors.TimedOut) as caught:
                await client.stream("GET", "/events", deadline=0.02)
            assert caught.value.sent is False
            assert (await client.request("GET", "/", deadline=PATIENCE)).body == b"ok"
            await stream.aclose()
            await stream.aclose()
            assert stream.cut
            assert await stream.read() == b""
        await until(lambda: engine.open == 1)  # the kept one


async def test_a_stream_without_a_head_in_time_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_never) as engine, calling(engine, connections=1) as client:
        for _ in range(2):
            await sent_in_vain(lambda seconds: client.stream("GET", "/", deadline=seconds))
        await until(lambda: engine.open == 0)
        assert not client._streaming


async def test_closing_the_client_cuts_its_streams(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_until_close) as engine:
        client = HttpClient(engine.endpoint)
        stream = await client.stream("GET", "/", deadline=PATIENCE)
        await client.aclose()
        assert await stream.read_all(100) in {b"", b"ab"}
        assert stream.cut  # a body that ends with the connection must not look whole because we ended it


async def answer_until_close(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await engine.hear(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nab")
    await reader.read()
