"""The HTTP door as a client on the wire sees it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from bot import listening_socket, metrics_page_cache, metrics_server
from bot.http_server import ConnectionLimits
from core.config.load import ListenAddress
from core.errors import ConfigError
from core.metric_families import Format
from tests.helpers.paths import ROOT

PAGE = b"# HELP up Up.\n# TYPE up gauge\nup 1\n" * 50


@dataclass
class Door:
    """A door and what it is told to say."""

    port: int = 0
    page: Any = PAGE
    ready: Any = (True, {"store": {"ready": True}})
    server: Any = None
    refused: Any = None

    def render(self, form: Format) -> bytes:
        if isinstance(self.page, Exception):
            raise self.page
        return bytes(self.page) + (b"# EOF\n" if form is Format.OPENMETRICS else b"")

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        if callable(self.ready):
            await self.ready()
        return self.ready  # type: ignore[no-any-return]


async def opened(door: Door, **more: Any) -> None:
    sock = listening_socket.open_socket(ListenAddress("127.0.0.1", 0))
    assert sock is not None
    door.port = sock.getsockname()[1]
    door.refused = []
    limits = ConnectionLimits(**more)
    door.server = await metrics_server.serve_metrics(
        sock, page=door.render, ready=door.readiness, refused=door.refused.append, limits=limits
    )


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    await opened(door)
    yield door
    async with asyncio.timeout(60):
        await door.server.aclose()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def send(port: int, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends bytes and reads until the other side closes."""
    async with connected(port) as (reader, writer):
        writer.write(raw)
        answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


async def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    lines = [f"{method} {path} HTTP/1.1", "Host: here", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return await send(port, "\r\n".join([*lines, "", ""]).encode())


async def test_metrics_are_served_as_prometheus_reads_them(door: Door) -> None:
    status, headers, body = await ask(door.port, "/metrics")
    assert (status, body) == (200, PAGE)
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["server"] == "quarterdeck"
    assert "content-encoding" not in headers
    assert headers["vary"] == "Accept, Accept-Encoding"


async def test_openmetrics_is_served_to_those_who_prefer_it(door: Door) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"
    status, headers, body = await ask(door.port, "/metrics", Accept=accept)
    assert (status, body) == (200, PAGE + b"# EOF\n")
    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    lines = ["GET /metrics HTTP/1.1", "Host: here", "Connection: close", "Accept: text/plain;q=0.1"]
    two = [*lines, "Accept: application/openmetrics-text", "Accept-Encoding: identity", "Accept-Encoding: gzip;q=0"]
    status, headers, body = await send(door.port, "\r\n".join([*two, "", ""]).encode())
    assert (status, body) == (200, PAGE + b"# EOF\n")


@pytest.mark.parametrize("size", [1, metrics_page_cache.SMALL_PAGE + len(PAGE), 4 << 20])
async def test_metrics_are_compressed_when_asked(door: Door, size: int) -> None:
    door.page = page = PAGE * (size // len(PAGE) + 1)
    status, headers, body = await ask(door.port, "/metrics", Accept_Encoding="deflate, gzip;q=0.8")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["content-length"] == str(len(body))
    assert len(body) < len(page)
    assert gzip.decompress(body) == page


async def test_alive_whatever_is_down(door: Door) -> None:
    door.ready = (False, {"store": {"ready": False}})
    assert (await ask(door.port, "/healthz"))[::2] == (200, b"ok\n")


async def test_readiness_says_each_part(door: Door) -> None:
    status, headers, body = await ask(door.port, "/readyz")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {"ready": True, "store": {"ready": True}}
    door.ready = (False, {"store": {"ready": False, "reason": "The store does not answer."}})
    status, _, body = await ask(door.port, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, **door.ready[1]})


async def test_parts_that_do_not_answer_are_not_ready(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "READY_TIMEOUT_SECONDS", 0.01)
    door.ready = asyncio.Event().wait
    status, _, body = await ask(door.port, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "reason": "no answer within 0.01 s"})


async def test_the_first_page_names_the_others(door: Door) -> None:
    status, headers, body = await ask(door.port, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert all(path in body for path in (b"/metrics", b"/healthz", b"/readyz"))


@pytest.mark.parametrize("path", ["/metric", "/metrics/", "/../etc/passwd", "/%2e%2e/x", "//metrics"])
async def test_anything_else_is_not_here(door: Door, path: str) -> None:
    status, headers, body = await ask(door.port, path)
    assert (status, headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert body.startswith(b"Not found")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/", "/nothing"])
async def test_head_says_what_get_would_without_the_body(door: Door, path: str) -> None:
    full, brief = await ask(door.port, path), await ask(door.port, path, "HEAD")
    assert brief[0] == full[0]
    assert brief[2] == b""
    assert brief[1]["content-length"] == full[1]["content-length"] == str(len(full[2]))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_only_reading_is_answered(door: Door, method: str) -> None:
    status, headers, _ = await ask(door.port, "/metrics", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


async def test_a_page_that_fails_is_said_and_logged(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    door.page = ZeroDivisionError("secret detail")
    status, _, body = await ask(door.port, "/metrics")
    assert (status, body) == (500, b"Internal error. The log has the details.\n")
    assert "A page failed because of a bug." in capsys.readouterr().out
    door.page = PAGE
    assert (await ask(door.port, "/metrics"))[0] == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    ],
    ids=["nonsense", "tls", "long line", "long header", "many headers"],
)
async def test_what_cannot_be_read_is_refused_without_telling_versions(
    door: Door, raw: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    status, headers, body = await send(door.port, raw)
    assert 400 <= status < 500
    assert headers["server"] == "quarterdeck"
    assert body == b"The request is invalid.\n"
    assert (await ask(door.port, "/healthz"))[0] == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("raw", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow"], ids=["silent", "half a request"])
async def test_a_client_that_does_not_finish_asking_is_closed(raw: bytes) -> None:
    door = Door()
    await opened(door, idle=0.05)
    async with connected(door.port) as (reader, writer):
        writer.write(raw)
        assert await reader.read() == b""
    await door.server.aclose()


async def test_a_client_that_does_not_read_is_closed() -> None:
    door = Door(page=b"x" * (64 << 20))
    await opened(door, send=0.05)
    async with connected(door.port) as (reader, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        while not door.server.http.connections:
            await asyncio.sleep(0.01)
        while door.server.http.connections:
            await asyncio.sleep(0.01)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(64 << 20)
    await door.server.aclose()


async def test_one_connection_serves_many_scrapes(door: Door) -> None:
    async with connected(door.port) as (reader, writer):
        for _ in range(3):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"ok\n")


async def test_probes_are_answered_while_somebody_fills_the_door() -> None:
    door = Door()
    await opened(door, connections=4, per_peer=4)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            _, writer = await stack.enter_async_context(connected(door.port))
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow")
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await ask(door.port, path))[0] == 200
    assert set(door.refused) == {"crowded"}
    await door.server.aclose()


async def test_closing_lets_an_answer_under_way_finish_and_idle_ones_go() -> None:
    door = Door()
    await opened(door)
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        asked.set()
        await go.wait()
        door.ready = (True, {})

    door.ready = slow
    async with connected(door.port) as (idle, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle.readuntil(b"ok\n")
        answer = asyncio.ensure_future(ask(door.port, "/readyz"))
        await asked.wait()
        closing = asyncio.ensure_future(door.server.aclose())
        assert await idle.read() == b""
        go.set()
        assert (await answer)[0] == 200
        await closing
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", door.port)


async def test_an_early_scrape_waits_instead_of_being_refused() -> None:
    sock = listening_socket.open_socket(ListenAddress("127.0.0.1", 0))
    assert sock is not None
    port = sock.getsockname()[1]
    early = asyncio.ensure_future(ask(port, "/healthz"))
    client = socket.create_connection(("127.0.0.1", port))  # connected although nobody answers yet
    client.close()
    door = Door()
    door.server = await metrics_server.serve_metrics(sock, page=door.render, ready=door.readiness, refused=print)
    assert (await early)[0] == 200
    await door.server.aclose()


def test_off_binds_nothing() -> None:
    assert listening_socket.open_socket(None) is None


def refusal(listen: ListenAddress) -> str:
    with pytest.raises(ConfigError) as caught:
        listening_socket.open_socket(listen)
    return caught.value.problems[0].full_message()


def test_an_address_in_use_is_said_with_its_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(ListenAddress("127.0.0.1", port))
    assert said.startswith(f"metrics.listen: 127.0.0.1:{port} is in use by another program\n    hint: ")
    assert f"sport = :{port}" in said


def test_an_address_of_another_machine_is_said() -> None:
    assert "192.0.2.1 is not an address of this machine" in refusal(ListenAddress("192.0.2.1", 9108))


def test_an_unknown_host_is_said() -> None:
    assert "the host name no.such.host.invalid cannot be resolved" in refusal(
        ListenAddress("no.such.host.invalid", 9108)
    )


def test_a_port_for_root_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    assert "Quarterdeck's user may not listen at 127.0.0.1:80" in refusal(ListenAddress("127.0.0.1", 80))


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize(("host", "reached"), [("::1", ["::1"]), ("", ["::1", "127.0.0.1"])])
def test_ipv6_and_all_addresses(host: str, reached: list[str]) -> None:
    sock = listening_socket.open_socket(ListenAddress(host, 0))
    assert sock is not None
    with sock:
        for address in reached:
            socket.create_connection((address, sock.getsockname()[1]), timeout=5).close()


def test_binding_loads_nothing_heavy() -> None:
    code = "import sys; from bot import listening_socket; print('aiohttp' in sys.modules, 'redis' in sys.modules)"
    root = ROOT
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["False", "False"]
