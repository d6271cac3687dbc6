"""What becomes of a request, by each kind of answer that a receiver can give."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from bot.outlets.http_sender import HttpSender, SendOutcome

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def receiver(answer: Answer) -> AsyncIterator[tuple[str, list[web.Request]]]:
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        await request.read()
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


def status(code: int, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


@pytest.fixture
async def sender() -> AsyncIterator[HttpSender]:
    made = HttpSender(timeout=1.0)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(200, SendOutcome.DELIVERED), (202, SendOutcome.DELIVERED), (204, SendOutcome.DELIVERED)]
    + [(code, SendOutcome.REFUSED) for code in (400, 410, 413, 415, 422)]
    + [(code, SendOutcome.FAILED) for code in (401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504)],
)
async def test_the_status_decides(sender: HttpSender, code: int, outcome: SendOutcome) -> None:
    async with receiver(status(code)) as (url, seen):
        sent = await sender.send("POST", f"{url}/hook", b"{}", {"Content-Type": "application/json"})
    assert sent.outcome is outcome and len(seen) == 1
    assert bool(sent.reason) is (outcome is not SendOutcome.DELIVERED)


async def test_a_redirect_is_not_followed(sender: HttpSender) -> None:
    async with receiver(status(200)) as (other, stolen), receiver(status(307, Location=other)) as (url, seen):
        sent = await sender.send("POST", url, b"{}", {"Authorization": "Bearer secret"})
    assert sent.outcome is SendOutcome.FAILED and "redirect (307)" in sent.reason
    assert len(seen) == 1 and stolen == []


@pytest.mark.parametrize(("asked", "seconds"), [("7", 7), ("999999", 3600), ("soon", 0), ("-1", 0), ("²", 0), ("", 0)])
async def test_the_receiver_may_ask_to_wait_within_reason(sender: HttpSender, asked: str, seconds: float) -> None:
    async with receiver(
        status(429, **({"Retry_After": asked.encode("ascii", "replace").decode()} if asked else {}))
    ) as (
        url,
        _,
    ):
        assert (await sender.send("POST", url, b"{}", {})).retry_after == seconds


async def test_an_endless_body_is_not_read(sender: HttpSender) -> None:
    sent_bytes = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent_bytes
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent_bytes < 256 << 20:
                await response.write(b"x" * (1 << 16))
                sent_bytes += 1 << 16
        return response

    async with receiver(endless) as (url, _):
        assert (await sender.send("POST", url, b"{}", {})).outcome is SendOutcome.DELIVERED
    assert sent_bytes < 64 << 20


@pytest.mark.parametrize("way", ["nobody", "hangs", "resets", "nonsense", "no host"])
async def test_no_answer_is_a_failure_that_quotes_no_address(sender: HttpSender, way: str) -> None:
    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if way == "nonsense":
            writer.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")
        if way == "hangs":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)
        writer.close()

    server = await asyncio.start_server(misbehave, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    quick = HttpSender(timeout=0.3)
    if way == "nobody":
        server.close()
    url = "http://nowhere.invalid/s3cr3t" if way == "no host" else f"http://127.0.0.1:{port}/s3cr3t"
    sent = await quick.send("POST", url, b"{}", {})
    assert sent.outcome is SendOutcome.FAILED and "cannot be reached" in sent.reason and "s3cr3t" not in sent.reason
    await quick.aclose()
    server.close()
