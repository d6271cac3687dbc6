"""A daemon with a Docker-like API that gives prepared answers, and notes what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from core.model.actions import Action
from core.ports import Call
from runtimes.docker_like.client import HttpEngineClient
from tests.helpers import servers

_VERSION = re.compile(r"^/v[0-9.]+(/libpod)?(?=/)")

_LENGTH = re.compile(r"^content-length: ([0-9]+)", re.IGNORECASE | re.MULTILINE)


class PreparedDaemon:
    """`answers`: by the start of a request's target without the API version: its status and body. `first`: those that
    are given before, once each. `headers`: of every answer. `asked`: the targets."""

    def __init__(self, kind: type[HttpEngineClient], path: Path, **headers: str) -> None:
        self.path, self.headers = path, {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.first: dict[str, list[tuple[int, bytes]]] = {}
        self.asked: list[str] = []
        self.engine = kind(f"unix://{path}")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            if length := _LENGTH.search(request):
                await reader.readexactly(int(length[1]))
            target = request.split()[1]
            self.asked.append(target)
            bare = _VERSION.sub("", target)
            begins = max((one for one in self.answers if bare.startswith(one)), key=len, default="")
            earlier = self.first.get(begins)
            status, body = earlier.pop(0) if earlier else self.answers.get(begins, (404, b"{}"))
            head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()

    async def do(self, action: Action[Any]) -> Any:
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        return await self.engine.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))

    def refuse(self, begins: str, status: int, message: str) -> None:
        self.answers[begins] = (status, msgspec.json.encode({"message": message}))


@contextlib.asynccontextmanager
async def prepared_daemon(kind: type[HttpEngineClient], path: Path, **headers: str) -> AsyncIterator[PreparedDaemon]:
    """`headers`: of every answer, with underscores for hyphens."""
    made = PreparedDaemon(kind, path, **headers)
    async with servers.serving(made.answer, path):
        try:
            yield made
        finally:
            await made.engine.aclose()
