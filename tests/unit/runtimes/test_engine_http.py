"""The engine client against scripted servers on real sockets: pool, retries, deadlines, streams, ends, sentences."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from core import errors
from runtimes import engine_http
from runtimes.engine_http import Client, Endpoint

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PATIENCE = 5.0  # never reached when the code is right

Answer = Callable[["Engine", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Engine:
    """A server that notes each request's first line and body, then does what `answer` says; returning closes."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or answer_ok
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.opened = self.open = self.most_open = 0
        self.endpoint = Endpoint(scheme="unix", path="/nowhere")
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.opened += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self.answer(self, reader, writer)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def hear(self, reader: asyncio.StreamReader) -> str:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *headers = head.split("\r\n")
        length = next((int(text.split(":")[1]) for text in headers if text.startswith("Content-Length:")), 0)
        self.requests.append(line.removesuffix(" HTTP/1.1"))
        self.bodies.append(await reader.readexactly(length))
        return self.requests[-1]

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def answer_ok(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await engine.hear(reader)
        writer.write(OK)


async def answer_never(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await engine.hear(reader)


def answer_with(*wires: bytes) -> Answer:
    """Each connection answers its n-th request with the n-th wire, then closes."""

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for wire in wires:
            await engine.hear(reader)
            writer.write(wire)
        await writer.drain()

    return answer


@contextlib.asynccontextmanager
async def serving(folder: Path, answer: Answer | None = None) -> AsyncIterator[Engine]:
    engine = Engine(answer)
    path = folder / "engine.sock"
    engine.endpoint = Endpoint.parse(f"unix://{path}")
    server = await asyncio.start_unix_server(engine.serve, path)
    try:
        yield engine
    finally:
        server.close()
        await engine.stop()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def calling(engine: Engine, **options: float) -> AsyncIterator[Client]:
    client = Client(engine.endpoint, **options)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


# The pool


async def test_requests_in_a_row_share_a_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as engine, calling(engine) as client:
        for number in range(5):
            response = await client.request("GET", f"/{number}", deadline=PATIENCE)
            assert (response.status, response.body, response.headers) == (200, b"ok", {"content-length": "2"})
        assert engine.requests == [f"GET /{number}" for number in range(5)]
        assert engine.opened == 1


async def test_connections_are_bounded_and_all_waiters_are_served(tmp_path: Path) -> None:
    async with serving(tmp_path) as engine, calling(engine, connections=3) as client:
        methods = ["GET", "POST"] * 20
        done = await asyncio.gather(*(client.request(method, "/", deadline=PATIENCE) for method in methods))
        assert [response.body for response in done] == [b"ok"] * 40
        assert len(engine.requests) == 40
        assert len(client._idle) <= 3
        await until(lambda: engine.open <= 3)
        # A connection being closed may still be counted by the server when its successor arrives.
        assert engine.most_open <= 6


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\n",
    ],
    ids=["close", "1.0", "leftover"],
)
async def test_a_connection_that_may_not_be_kept_is_not(tmp_path: Path, wire: bytes) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await engine.hear(reader)
            writer.write(wire)

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        for _ in range(3):
            assert (await client.request("GET", "/", deadline=PATIENCE)).body == b"ok"
        assert engine.opened == 3
        await until(lambda: engine.open == 0)


async def test_bytes_on_an_idle_connection_end_it(tmp_path: Path) -> None:
    speak = asyncio.Event()

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(OK)
        await speak.wait()
        writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await reader.read()

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        await client.request("GET", "/", deadline=PATIENCE)
        assert len(client._idle) == 1
        speak.set()
        await until(lambda: not client._idle and engine.open == 0)


async def test_a_connection_closed_while_idle_is_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_with(OK)) as engine, calling(engine) as client:
        await client.request("GET", "/", deadline=PATIENCE)
        await until(lambda: not client._idle)
        await client.request("GET", "/", deadline=PATIENCE)
        assert engine.requests == ["GET /", "GET /"]


async def test_an_unused_connection_is_closed_after_a_while(tmp_path: Path) -> None:
    async with serving(tmp_path) as engine, calling(engine, idle=0.01) as client:
        await client.request("GET", "/", deadline=PATIENCE)
        await until(lambda: engine.opened == 1 and engine.open == 0)
        assert not client._idle


async def test_tcp_works_as_well() -> None:
    engine = Engine()
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine.endpoint = Endpoint.parse(f"tcp://127.0.0.1:{port}")
    async with calling(engine) as client:
        assert (await client.request("GET", "/", deadline=PATIENCE)).body == b"ok"
    server.close()
    await engine.stop()
    await server.wait_closed()
    async with calling(engine) as client:
        with pytest.raises(errors.Unreachable, match="Nothing listens") as caught:
            await client.request("GET", "/", deadline=PATIENCE)
        assert caught.value.sent is False
        assert str(port) in caught.value.say()


# Once, or once more


async def test_a_get_on_a_dead_kept_connection_is_sent_again(tmp_path: Path) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(OK)
        if engine.opened == 1:  # the second request is heard, and dropped
            await engine.hear(reader)
            return
        await answer_ok(engine, reader, writer)

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        await client.request("GET", "/a", deadline=PATIENCE)
        assert (await client.request("GET", "/b", deadline=PATIENCE)).body == b"ok"
        assert engine.requests == ["GET /a", "GET /b", "GET /b"]
        assert engine.opened == 2


async def test_a_get_is_sent_again_only_once(tmp_path: Path) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        if len(engine.requests) == 1:
            writer.write(OK)
            await engine.hear(reader)

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        await client.request("GET", "/a", deadline=PATIENCE)
        with pytest.raises(errors.Unreachable) as caught:
            await client.request("GET", "/b", deadline=PATIENCE)
        assert caught.value.sent is True
        assert engine.requests == ["GET /a", "GET /b", "GET /b"]


async def test_a_get_on_a_new_connection_is_not_sent_again(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_with(b"")) as engine, calling(engine) as client:
        with pytest.raises(errors.Unreachable, match="without an answer"):
            await client.request("GET", "/", deadline=PATIENCE)
        assert engine.requests == ["GET /"]


async def test_an_answer_begun_is_not_asked_for_again(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_with(OK, b"HTTP/1.1 200 OK\r\nContent-")) as engine, calling(engine) as client:
        await client.request("GET", "/a", deadline=PATIENCE)
        with pytest.raises(errors.Unreachable):
            await client.request("GET", "/b", deadline=PATIENCE)
        assert engine.requests == ["GET /a", "GET /b"]


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_a_change_is_sent_at_most_once(tmp_path: Path, method: str) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await engine.hear(reader)).startswith("GET"):
            writer.write(OK)

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        await client.request("GET", "/", deadline=PATIENCE)
        with pytest.raises(errors.Unreachable) as caught:
            await client.request(method, "/change", body=b"{}", deadline=PATIENCE)
        assert caught.value.sent is True
        assert engine.requests == ["GET /", f"{method} /change"]
        assert engine.opened == 2  # never on the kept connection, whose death could not be told from a lost answer


async def test_an_answer_cut_short_is_unreachable(tmp_path: Path) -> None:
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"
    async with serving(tmp_path, answer_with(wire)) as engine, calling(engine) as client:
        with pytest.raises(errors.Unreachable, match="in the middle") as caught:
            await client.request("POST", "/", deadline=PATIENCE)
        assert caught.value.sent is True


async def test_an_early_answer_to_a_large_body_is_read_and_its_connection_not_kept(tmp_path: Path) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        response = await client.request("PUT", "/", body=b"x" * (8 << 20), deadline=PATIENCE)
        assert response.status == 413
        assert not client._pooled


# Deadlines


async def test_a_deadline_after_sending_says_sent(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_never) as engine, calling(engine, connections=1) as client:
        with pytest.raises(errors.TimedOut, match=r"did not answer POST /a within 0\.05 s") as caught:
            await client.request("POST", "/a?secret=1", deadline=0.05)
        assert caught.value.sent is True
        assert "secret" not in caught.value.say()
        await until(lambda: engine.open == 0)  # given up midway: closed, and its place free again
        with pytest.raises(errors.TimedOut) as caught:
            await client.request("GET", "/b", deadline=0.05)
        assert caught.value.sent is True


async def test_a_deadline_while_waiting_for_a_place_says_unsent(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_never) as engine, calling(engine, connections=1) as client:
        first = asyncio.create_task(client.request("POST", "/a", deadline=PATIENCE))
        await until(lambda: engine.requests == ["POST /a"])
        with pytest.raises(errors.TimedOut, match="could not be sent") as caught:
            await client.request("POST", "/b", deadline=0.02)
        assert caught.value.sent is False
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert engine.requests == ["POST /a"]


async def test_a_full_backlog_is_waited_for_and_says_unsent(tmp_path: Path) -> None:
    engine = Engine()
    engine.endpoint = Endpoint.parse(f"unix://{tmp_path / 'engine.sock'}")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(engine.endpoint.path)
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                dialled = stack.enter_context(socket.socket(socket.AF_UNIX))
                dialled.setblocking(False)
                dialled.connect(engine.endpoint.path)
        async with calling(engine) as client:
            with pytest.raises(errors.TimedOut) as caught:
                await client.request("POST", "/a", deadline=0.05)
            assert caught.value.sent is False
            waiting = asyncio.create_task(client.request("POST", "/b", deadline=PATIENCE))
            await asyncio.sleep(0)
            server = await asyncio.start_unix_server(engine.serve, sock=listener)  # the engine begins to accept
            assert (await waiting).body == b"ok"
            assert engine.requests == ["POST /b"]
        server.close()
        await engine.stop()
        await server.wait_closed()


async def test_a_cancelled_request_closes_its_connection_and_frees_its_place(tmp_path: Path) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            if await engine.hear(reader) != "GET /never":
                writer.write(OK)

    async with serving(tmp_path, answer) as engine, calling(engine, connections=1) as client:
        for _ in range(3):
            caught = asyncio.create_task(client.request("GET", "/never", deadline=PATIENCE))
            queued = asyncio.create_task(client.request("GET", "/never", deadline=PATIENCE))
            await until(lambda: engine.open == 1 and engine.requests[-1:] == ["GET /never"])
            queued.cancel()
            caught.cancel()
            assert all(
                isinstance(end, asyncio.CancelledError)
                for end in await asyncio.gather(caught, queued, return_exceptions=True)
            )
            await until(lambda: engine.open == 0)
            assert (await client.request("GET", "/", deadline=PATIENCE)).body == b"ok"


async def test_a_client_closed_meanwhile_ends_its_requests(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_never) as engine:
        client = Client(engine.endpoint, connections=1)
        tasks = [asyncio.create_task(client.request("GET", f"/{n}", deadline=PATIENCE)) for n in range(2)]
        await until(lambda: engine.requests == ["GET /0"])
        await client.aclose()
        first, second = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, errors.Unreachable)
        assert first.sent
        assert isinstance(second, errors.Unreachable)
        assert not second.sent
        assert engine.requests == ["GET /0"]


# Answers that are wrong


async def test_a_body_above_the_limit_is_garbled(tmp_path: Path) -> None:
    async with serving(tmp_path) as engine, calling(engine, connections=1) as client:
        assert (await client.request("GET", "/", deadline=PATIENCE, max_body=2)).body == b"ok"
        with pytest.raises(errors.Garbled, match="longer than 1 bytes"):
            await client.request("GET", "/", deadline=PATIENCE, max_body=1)
        assert not client._pooled
        assert (await client.request("GET", "/", deadline=PATIENCE)).body == b"ok"


async def test_a_server_of_another_protocol_is_garbled(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_with(b"\x00\x00\x12\x04\x00")) as engine, calling(engine) as client:
        with pytest.raises(errors.Garbled, match=r"does not speak HTTP/1\.1"):
            await client.request("GET", "/", deadline=PATIENCE)
        with pytest.raises(errors.Garbled):
            await client.stream("GET", "/", deadline=PATIENCE)
        assert not client._pooled
        assert not client._streaming


async def test_what_may_not_be_written_never_reaches_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path) as engine, calling(engine) as client:
        for target in ("/a b", "/a\r\nB: c", "/a HTTP/1.1\r\n\r\nPOST /b"):
            with pytest.raises(errors.BadUsage):
                await client.request("GET", target, deadline=PATIENCE)
            with pytest.raises(errors.BadUsage):
                await client.stream("GET", target, deadline=PATIENCE)
        with pytest.raises(errors.BadUsage):
            await client.request("GET", "/", headers={"X": "a\r\nb"}, deadline=PATIENCE)
        assert engine.opened == 0


# Streams


async def test_a_stream_yields_the_body_in_order(tmp_path: Path) -> None:
    lines = [b'{"n":%d}\n' % number for number in range(500)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED + chunks + b"0\r\n\r\n")
        await reader.read()  # the engine would keep the connection; its end is ours to make

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        for coalesce in (0.0, 0.002):
            stream = await client.stream("GET", "/events", deadline=PATIENCE)
            assert (stream.status, stream.headers) == (200, {"transfer-encoding": "chunked"})
            got = [part async for part in stream.chunks(coalesce=coalesce)]
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
        await until(lambda: bool(stream._wire._parts))
        turn.set()
        await until(lambda: stream._wire.ended)
        assert await stream.read() == b"ab"
        with pytest.raises(errors.Garbled):
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
        assert not stream._wire._parts
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
        transport = stream._wire._transport
        assert transport is not None
        await until(lambda: not transport.is_reading())
        assert stream._wire._size <= (64 << 10) + engine_http.BLOCK
        assert not sent.is_set()
        size = 0
        async for part in stream.chunks(coalesce=0.002):
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
        with pytest.raises(errors.Garbled, match="longer than 1 bytes"):
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
            with pytest.raises(errors.TimedOut) as caught:
                await client.stream("GET", "/", deadline=0.02)
            assert caught.value.sent is True
        await until(lambda: engine.open == 0)
        assert not client._streaming


async def test_closing_the_client_cuts_its_streams(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_until_close) as engine:
        client = Client(engine.endpoint)
        stream = await client.stream("GET", "/", deadline=PATIENCE)
        await client.aclose()
        assert await stream.read_all(100) in {b"", b"ab"}
        assert stream.cut  # a body that ends with the connection must not look whole because we ended it


async def answer_until_close(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await engine.hear(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nab")
    await reader.read()


class Transport(asyncio.Transport):
    """Notes whether it is asked to read."""

    reading = True

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@pytest.mark.looptime
async def test_the_reader_rests_only_between_small_reads_that_come_thick() -> None:
    block = memoryview(bytearray(engine_http.BLOCK))
    wire = engine_http._Wire(Endpoint.parse("unix:///x"), block)
    transport = Transport()

    def arrive(data: bytes) -> None:
        block[: len(data)] = data
        wire.buffer_updated(len(data))

    wire.connection_made(transport)
    wire.begin(b"GET", "GET", 1 << 20, engine_http._Full.DROP)
    arrive(b"HTTP/1.1 200 OK\r\n\r\n")
    wire.pace(1.0)  # more than allowed
    arrive(b"a")
    assert transport.reading  # the first after silence: no rest
    arrive(b"b")
    assert not transport.reading
    assert wire.take() == b"ab"  # what was read is not held back
    await asyncio.sleep(engine_http.LONGEST_REST)
    await asyncio.sleep(0)
    assert transport.reading
    arrive(b"c" * engine_http.PLENTY)
    assert transport.reading  # the sender is ahead: read on
    arrive(b"d")
    assert not transport.reading
    await asyncio.sleep(1)
    arrive(b"e")
    assert transport.reading
    wire.abort()


# Sentences


async def ask(path: Path) -> errors.Unreachable:
    client = Client(Endpoint.parse(f"unix://{path}"), connections=1)
    for _ in range(2):  # the one place is free again
        with pytest.raises(errors.Unreachable) as caught:
            await client.request("POST", "/", deadline=PATIENCE)
        assert caught.value.sent is False
        with pytest.raises(errors.Unreachable, match=r"\.$"):
            await client.stream("GET", "/", deadline=PATIENCE)
    await client.aclose()
    assert caught.value.hint
    return caught.value


async def test_a_missing_socket_asks_whether_the_engine_runs(tmp_path: Path) -> None:
    assert (await ask(tmp_path / "docker.sock")).message == f"There is no engine socket at {tmp_path / 'docker.sock'}."
    assert "podman.socket" in (await ask(tmp_path / "podman" / "podman.sock")).hint


async def test_a_socket_nobody_listens_on_says_so(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    assert "nobody listens" in (await ask(tmp_path / "s")).message


async def test_a_file_or_folder_is_not_a_socket(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a socket" in (await ask(tmp_path / "file")).message
    assert "is not a socket" in (await ask(tmp_path)).message
    assert "no engine socket" in (await ask(tmp_path / "file" / "below")).message


async def test_a_path_too_long_for_a_socket_says_so(tmp_path: Path) -> None:
    assert "too long" in (await ask(tmp_path / ("x" * 120))).message


def test_a_forbidden_socket_names_the_group_to_join(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    if os.geteuid() == 0:
        os.chown(path, -1, 65530)  # a group without a name
    path.chmod(0o660)
    endpoint = Endpoint.parse(f"unix://{path}")
    told = engine_http.explain(endpoint, PermissionError(13, "Permission denied"))
    group = "65530" if os.geteuid() == 0 else path.group()
    assert f"the group {group} may use" in told.message
    assert f"usermod -aG {group} " in told.hint
    path.chmod(0o600)
    told = engine_http.explain(endpoint, PermissionError(13, "Permission denied"))
    assert told.message.startswith("Only ")
    assert told.hint == f"Run as {path.owner()}."


def test_a_forbidden_folder_says_so(tmp_path: Path) -> None:
    told = engine_http.explain(Endpoint.parse(f"unix://{tmp_path}/gone/s"), PermissionError(13, "Permission denied"))
    assert "folder" in told.message
    assert "root" in told.hint


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "host7 cannot be resolved"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 2375, 0, 0)"), "Nothing listens at"),
        (TimeoutError(110, "Connection timed out"), "cannot be reached: Connection timed out."),
    ],
)
def test_tcp_errors_are_sentences(error: OSError, words: str) -> None:
    told = engine_http.explain(Endpoint.parse("tcp://host7:2375"), error)
    assert words in told.message
    assert told.sent is False
