"""A daemon that gives prepared answers, and notes what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.model.actions import Action
from core.ports import Call
from runtimes.docker.engine import Docker
from tests.helpers import servers


class Daemon:
    """`answers`: by the start of a request's target without the API version: its status and body."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.api = "1.45"
        self.answers: dict[str, tuple[int, bytes]] = {"/info": (200, b'{"ID": "d1", "Name": "host7"}')}
        self.asked: list[str] = []
        self.engine = Docker(f"unix://{path}")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split()[1]
            self.asked.append(target)
            bare = target.partition("/v1.")[2].partition("/")[2] if target.startswith("/v1.") else target[1:]
            begins = max((one for one in self.answers if f"/{bare}".startswith(one)), key=len, default="")
            status, body = self.answers.get(begins, (404, b"{}"))
            writer.write(
                f"HTTP/1.1 {status} X\r\nApi-Version: {self.api}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            await writer.drain()

    async def do(self, action: Action[Any]) -> Any:
        deadline = datetime.now(UTC) + timedelta(seconds=10)
        return await self.engine.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))

    def refuse(self, begins: str, status: int, message: str) -> None:
        self.answers[begins] = (status, msgspec.json.encode({"message": message}))


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    made = Daemon(tmp_path / "d.sock")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(servers.serving(made.answer, made.path))
        stack.push_async_callback(made.engine.aclose)
        yield made
