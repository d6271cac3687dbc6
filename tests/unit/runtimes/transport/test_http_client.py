"""The engine client against scripted servers on real sockets: pool, retries, deadlines, answers that are wrong."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from pathlib import Path

import pytest

from core import errors
from runtimes.transport import dialer, http_connection
from runtimes.transport.endpoint import Endpoint
from runtimes.transport.http_client import HttpClient
from tests.helpers.deadlines import sent_in_vain
from tests.unit.runtimes.transport.scripted import (
    OK,
    PATIENCE,
    Engine,
    answer_never,
    answer_ok,
    answer_with,
    calling,
    serving,
    until,
)

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
        # Three for reads, three for changes.
        assert len(client._idle) <= 6
        await until(lambda: engine.open <= 6)
        # A connection being closed may still be counted by the server when its successor arrives.
        assert engine.most_open <= 12


async def test_reads_do_not_wait_for_changes_that_take_long(tmp_path: Path) -> None:
    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            if not (await engine.hear(reader)).startswith("POST"):
                writer.write(OK)

    async with serving(tmp_path, answer) as engine, calling(engine, connections=2) as client:
        stops = [asyncio.create_task(client.request("POST", f"/stop/{n}", deadline=PATIENCE)) for n in range(5)]
        await until(lambda: len(engine.requests) == 2)
        assert (await client.request("GET", "/list", deadline=PATIENCE)).body == b"ok"
        assert engine.requests == ["POST /stop/0", "POST /stop/1", "GET /list"]
        for stop in stops:
            stop.cancel()
        await asyncio.gather(*stops, return_exceptions=True)


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
        assert str(port) in caught.value.full_message()


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
        error = await sent_in_vain(lambda seconds: client.request("POST", "/a?secret=1", deadline=seconds))
        assert re.search(r"did not answer POST /a within [\d.]+ s", error.full_message())
        assert "secret" not in error.full_message()
        await until(lambda: engine.open == 0)  # given up midway: closed, and its place free again
        await sent_in_vain(lambda seconds: client.request("GET", "/b", deadline=seconds))


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
        client = HttpClient(engine.endpoint, connections=1)
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
        with pytest.raises(errors.InvalidResponse, match="longer than 1 bytes"):
            await client.request("GET", "/", deadline=PATIENCE, max_body=1)
        assert not client._pooled
        assert (await client.request("GET", "/", deadline=PATIENCE)).body == b"ok"


@pytest.mark.parametrize("value", [b"{}", b'""', b"1"])
async def test_a_body_of_ever_so_many_small_values_is_refused_before_it_is_decoded(
    tmp_path: Path, value: bytes
) -> None:
    """Ten million empty objects have 30 MB as JSON and gigabytes as objects."""
    body = b"[" + (value + b",") * (http_connection.MAX_VALUES + 1) + value + b"]"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving(tmp_path, answer_with(head + body)) as engine, calling(engine) as client:
        with pytest.raises(
            errors.InvalidResponse, match="about 1,000,001 values, and Quarterdeck decodes at most 1,000,000"
        ):
            await client.request("GET", "/", deadline=PATIENCE)


async def test_an_unreadable_answer_to_a_change_leaves_it_unknown(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_with(b"\x00\x00\x12\x04\x00")) as engine, calling(engine) as client:
        for method, sent in (("GET", False), ("POST", True), ("DELETE", True)):
            with pytest.raises(errors.InvalidResponse) as caught:
                await client.request(method, "/", deadline=PATIENCE)
            assert caught.value.sent is sent


async def test_a_server_of_another_protocol_is_garbled(tmp_path: Path) -> None:
    async with serving(tmp_path, answer_with(b"\x00\x00\x12\x04\x00")) as engine, calling(engine) as client:
        with pytest.raises(errors.InvalidResponse, match=r"does not speak HTTP/1\.1"):
            await client.request("GET", "/", deadline=PATIENCE)
        with pytest.raises(errors.InvalidResponse):
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


class Unproven(dialer.DirectDialer):
    """Its connections may look open although the engine refuses them, and it can say why."""

    needs_ping = True

    async def diagnose(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        return errors.Unreachable("The far end is shut.", sent=lost.sent, hint="Open it.")


@pytest.mark.parametrize(("answers", "sent"), [(0, False), (1, True)])
async def test_on_an_unproven_connection_a_change_leaves_only_after_a_ping_was_answered(
    tmp_path: Path, answers: int, sent: bool
) -> None:
    asked: list[bytes] = []
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for turn in range(2):
            asked.append((await reader.readuntil(b"\r\n\r\n")).split(b" HTTP", 1)[0])
            if turn == answers:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    endpoint = Endpoint.parse(f"unix://{tmp_path}/s")
    client = HttpClient(endpoint, dialer=Unproven(endpoint))
    with pytest.raises(errors.Unreachable, match="The far end is shut") as caught:
        await client.request("POST", "/containers/a/stop", deadline=PATIENCE)
    assert (caught.value.sent, caught.value.hint) == (sent, "Open it.")
    assert asked == [b"GET /_ping", b"POST /containers/a/stop"][: answers + 1]
    await client.aclose()
    await gone.wait()
    server.close()
    await server.wait_closed()


async def test_a_ping_that_is_never_answered_leaves_the_change_unsent(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    endpoint = Endpoint.parse(f"unix://{tmp_path}/s")
    client = HttpClient(endpoint, dialer=Unproven(endpoint))
    with pytest.raises(errors.TimedOut) as caught:
        await client.request("POST", "/containers/a/stop", deadline=0.2)
    assert not caught.value.sent
    await client.aclose()
    await gone.wait()
    server.close()
    await server.wait_closed()
