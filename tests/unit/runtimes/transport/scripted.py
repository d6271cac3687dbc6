"""An engine made of a script, on a real socket: it notes what it hears and answers what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from runtimes.transport.endpoint import Endpoint
from runtimes.transport.http_client import HttpClient

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PATIENCE = 60.0  # never reached when the code is right

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
async def calling(engine: Engine, **options: float) -> AsyncIterator[HttpClient]:
    client = HttpClient(engine.endpoint, **options)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)
