"""What clients cannot do to an HTTP server of ours, as they would try it on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bot import http_server, listening_socket
from bot.http_server import ConnectionLimits, HttpServer
from core import open_file_limit
from core.config.load import ListenAddress
from tests.helpers.paths import ROOT

HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow"
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Served:
    """A server, what it was asked, and what it refused. `answer` may be replaced."""

    def __init__(self, **limits: Any) -> None:
        self.refused: list[str] = []
        self.bodies: list[bytes] = []
        self.answer: Callable[[], Any] | None = None
        self.page = b"hello\n"
        self.server = HttpServer(self.handle, ConnectionLimits(**limits), self.refused.append)
        self.port = 0

    async def handle(self, request: Any, body: bytes) -> Any:
        self.bodies.append(body)
        if self.answer is not None:
            await self.answer()
        return http_server.plain_response(200, self.page)

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not true():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def served(**limits: Any) -> AsyncIterator[Served]:
    sock = listening_socket.open_socket(ListenAddress("127.0.0.1", 0))
    assert sock is not None
    made = Served(**limits)
    made.port = sock.getsockname()[1]
    await made.server.open(sock)
    try:
        yield made
    finally:
        async with asyncio.timeout(60):
            await made.server.aclose(1.0)


class Clients:
    """Connections of clients, all closed at the end. `peer`: their own address."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, raw: bytes = b"", peer: str = "127.0.0.1") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(peer, 0), limit=1 << 16)
        self._writers.append(writer)
        writer.write(raw)
        await writer.drain()
        return reader

    @property
    def last(self) -> asyncio.StreamWriter:
        return self._writers[-1]

    async def status(self, raw: bytes, peer: str = "127.0.0.1") -> int:
        return await status_of(await self.open(raw, peer))


async def status_of(reader: asyncio.StreamReader) -> int:
    async with asyncio.timeout(60):
        return int((await reader.readline()).split()[1])


@contextlib.asynccontextmanager
async def clients(made: Served) -> AsyncIterator[Clients]:
    opened = Clients(made.port)
    try:
        yield opened
    finally:
        for writer in opened._writers:
            writer.transport.abort()
        for writer in opened._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.mark.parametrize("raw", [b"", HALF, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nhalf"])
async def test_unfinished_requests_keep_nobody_out(raw: bytes) -> None:
    async with served(connections=8, per_peer=8, body=1000) as made, clients(made) as crowd:
        for _ in range(60):
            await crowd.open(raw)
        assert await crowd.status(WHOLE) == 200
        assert made.server.connections <= 8
        assert made.refused == ["crowded"] * len(made.refused)
        assert len(made.refused) >= 53


async def test_one_address_cannot_close_the_connections_of_another() -> None:
    async with served(connections=8, per_peer=6) as made, clients(made) as crowd:
        kept = [await crowd.open(WHOLE, f"127.0.0.{number}") for number in (2, 3)]
        for reader in kept:
            assert await status_of(reader) == 200
        for _ in range(40):
            await crowd.open(HALF)
        await made.until(lambda: len(made.refused) >= 34)
        for number, reader in enumerate(kept):
            await reader.readuntil(b"hello\n")
            crowd._writers[number].write(WHOLE)
            assert await status_of(reader) == 200


async def test_a_crowd_of_addresses_closes_those_of_the_greediest_first() -> None:
    async with served(connections=8, per_peer=6) as made, clients(made) as crowd:
        greedy = [await crowd.open(HALF) for _ in range(6)]
        modest = [await crowd.open(HALF, f"127.0.0.{number}") for number in range(2, 7)]
        await made.until(lambda: len(made.refused) == 3)
        assert [await reader.read() for reader in greedy[:3]] == [b""] * 3
        assert not any(reader.at_eof() for reader in [*greedy[3:], *modest])


async def test_a_request_that_is_being_answered_is_not_closed_and_a_full_house_of_them_refuses() -> None:
    go = asyncio.Event()
    async with served(connections=4, per_peer=4) as made, clients(made) as crowd:
        made.answer = go.wait
        asked = [await crowd.open(WHOLE) for _ in range(4)]
        await made.until(lambda: len(made.bodies) == 4)
        late = await crowd.open(WHOLE)
        with contextlib.suppress(ConnectionError):
            assert await late.read() == b""
        go.set()
        assert [await status_of(reader) for reader in asked] == [200] * 4


async def test_the_rest_of_a_request_that_began_before_the_server_closes_is_read_and_answered() -> None:
    async with served(body=256) as made, clients(made) as crowd:
        idle = await crowd.open(WHOLE)
        await idle.readuntil(b"hello\n")
        begun = await crowd.open(POST + b"Content-Length: 8\r\n\r\nhalf")
        await made.until(lambda: made.server.asking == 1)
        async with asyncio.timeout(60):
            closing = asyncio.create_task(made.server.aclose(60.0))
            assert await idle.read() == b""
            assert not closing.done()
            crowd.last.write(b"done")
            assert b"200 OK" in (answer := await begun.read())
            await closing
    assert made.bodies == [b"", b"halfdone"]
    assert b"\r\nConnection: close\r\n" in answer


async def test_a_connection_that_is_opened_while_the_server_closes_does_not_wait_for_an_answer() -> None:
    async with served() as made, clients(made) as crowd:
        async with asyncio.timeout(60):
            opened = [asyncio.create_task(crowd.open()) for _ in range(20)]
            while not made.server.connections:
                await asyncio.sleep(0)
            await made.server.aclose(60.0)
            for reader in await asyncio.gather(*opened):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        assert made.server.connections == 0


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNK = b"80\r\n" + b"x" * 128 + b"\r\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (POST + b"Content-Length: 256\r\n\r\n" + b"x" * 256, 200),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK * 2 + b"0\r\n\r\n", 200),
        (POST + b"Content-Length: 257\r\n\r\n", 413),
        (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK * 3, 413),
        (POST + b"Content-Length: 256\r\n\r\nhalf", 408),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK, 408),
        (POST + b"X: " + b"y" * 5000 + b"\r\n\r\n", 400),
        (POST + b"X: y\r\n" * 200 + b"\r\n", 400),
    ],
)
async def test_what_a_client_may_send_is_limited_in_size_and_time(raw: bytes, status: int) -> None:
    async with served(body=256, receive=0.3) as made, clients(made) as crowd:
        assert await crowd.status(raw) == status
        assert len(made.bodies) == (status == 200)
        assert made.refused == {413: ["too_large"], 408: ["too_slow"]}.get(status, [])


async def test_a_compressed_body_is_not_inflated() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    head = POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with served(body=100_000) as made, clients(made) as crowd:
        assert await crowd.status(head + bomb) == 200
        assert made.bodies == [bomb]


async def test_responses_that_nobody_reads_are_limited_in_time_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MAX_SENDING", 40 << 20)
    async with served(send=0.5) as made, clients(made) as crowd:
        made.page = b"x" * (30 << 20)
        await crowd.open(WHOLE)
        await made.until(lambda: made.server._sending)
        assert await crowd.status(WHOLE) == 503
        made.page = b"small"
        assert await crowd.status(WHOLE) == 200
        await made.until(lambda: not made.server._sending)
        assert made.refused == ["crowded", "too_slow"]


async def test_requests_that_are_sent_without_reading_the_answers_do_not_pile_up() -> None:
    go = asyncio.Event()
    async with served() as made, clients(made) as crowd:
        made.answer = go.wait
        await crowd.open(WHOLE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    crowd.last.write(WHOLE * 1000)
                    await crowd.last.drain()
        (connection,) = made.server._peers
        assert len(connection._messages) < 2000
        go.set()


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        (None, "None"),
        ("", ""),
    ],
)
def test_who_counts_as_one_client(address: Any, peer: str) -> None:
    assert http_server.peer_of(address) == peer


@pytest.mark.parametrize(("files", "connections"), [(1 << 20, 64), (1024, 64), (256, 16), (64, 4), (10, 4)])
def test_few_descriptors_mean_few_connections(files: int, connections: int) -> None:
    limits = ConnectionLimits().within(files)
    assert (limits.connections, limits.per_peer) == (connections, min(connections, 48))


SCRIPT = """
import asyncio, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from bot import http_server, listening_socket

async def handle(request, body):
    return http_server.plain_response(200, b"hello")

async def main():
    servers = []
    for _ in range(2):
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        print(sock.getsockname()[1], flush=True)
        servers.append(http_server.HttpServer(handle, http_server.ConnectionLimits(body=1000), lambda reason: None))
        await servers[-1].open(sock)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    mine = [open("/dev/null") for _ in range(128)]
    print(sum(server.connections for server in servers), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

asyncio.run(main())
"""


def test_a_flood_on_both_doors_leaves_half_of_the_descriptors_to_the_process() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process, contextlib.ExitStack() as stack:
        assert process.stdin is not None
        assert process.stdout is not None
        ports = [int(process.stdout.readline()) for _ in range(2)]

        def flood(port: int) -> None:
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            with contextlib.suppress(ConnectionError):
                client.sendall(HALF)

        # At the same time: the kernel answers a connection that finds no place in the queue only a second later.
        with ThreadPoolExecutor(50) as threads:
            list(threads.map(flood, ports * 150))
        process.stdin.write("\n")
        process.stdin.flush()
        assert int(process.stdout.readline()) <= 32
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(WHOLE)
                assert client.recv(100).startswith(b"HTTP/1.1 200")
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(20) == 0


def test_the_soft_limit_on_open_files_is_raised_to_the_hard_one() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 900));"
        "from core import open_file_limit as limit;"
        "print(limit.raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE), limit.raise_limit())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["900", "(900,", "900)", "900"]


def test_a_limit_that_cannot_be_raised_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert open_file_limit.raise_limit() == 100
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert open_file_limit.raise_limit() == open_file_limit.MAX_OPEN_FILES
