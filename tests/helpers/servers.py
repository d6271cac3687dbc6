"""Servers for tests that close every connection they have accepted before the event loop ends.

A connection that is left open raises a ResourceWarning later, in another test.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(answer: Answer, path: Path | None = None) -> AsyncIterator[int]:
    """A server on a TCP port of this machine, which it yields, or on the unix socket `path`. At the end, answers that
    are still being given are cancelled."""
    connections: list[tuple[asyncio.Task[None] | None, asyncio.StreamWriter]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append((asyncio.current_task(), writer))
        with contextlib.suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            await answer(reader, writer)
        writer.close()

    if path is None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
    else:
        server = await asyncio.start_unix_server(accept, path)
    try:
        yield server.sockets[0].getsockname()[1] if path is None else 0
    finally:
        server.close()
        tasks = [task for task, _ in connections if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for _, writer in connections), return_exceptions=True)
        await server.wait_closed()


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer that is never given."""
    await asyncio.Event().wait()
