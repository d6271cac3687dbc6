"""The stand-in for Slack: one aiohttp server on loopback, in a test's own process or as one of its own.

    async with standin.Standin() as slack:                   # slack.api is the base url of the Web API
        await slack.slash("ada", "ops", "/deck", "ps")
        await slack.until("ada", "ops", "web")

    python -m tests.standins.slack.standin --port-file F [--until-eof] [--settings JSON]

All verbs are in `control.Controls`; over HTTP they are `POST /_control/<verb>`. Nothing survives the process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from tests.standins.slack import control, files, records, response_urls, state, web_api


class Standin(control.Controls):
    def __init__(self, *, clock: Callable[[], float] = time.time, **settings: Any) -> None:
        super().__init__(state.Workspace(clock=clock))
        self.configure(**settings)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return self.workspace.base

    @property
    def api(self) -> str:
        """What slack_sdk calls `base_url`."""
        return f"{self.workspace.base}/api/"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> int:
        api, workspace = web_api.WebApi(self.workspace), self.workspace
        app = web.Application(client_max_size=64 << 20)

        async def hooks(request: web.Request) -> web.StreamResponse:
            return await response_urls.handle(workspace, request)

        async def upload(request: web.Request) -> web.StreamResponse:
            fault = workspace.take_fault("upload")
            if fault is not None and not fault.applied:
                return await web_api.misbehave(request, fault)
            answer = files.receive(workspace, request.match_info["file"], await files.body_of(request))
            return answer if fault is None else await web_api.misbehave(request, fault)

        async def verbs(request: web.Request) -> web.StreamResponse:
            return await control.handle(self, request)

        app.router.add_route("*", "/api/{method}", api.handle)
        app.router.add_get("/link/", self.deliveries_.sockets.handle)
        app.router.add_post("/{door:commands|actions}/{team}/{id}/{secret}", hooks)
        app.router.add_post("/upload/v1/{file}", upload)
        app.router.add_post("/_control/{verb}", verbs)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        got: int = self._runner.addresses[0][1]
        self.workspace.base = f"http://127.0.0.1:{got}"
        return got

    async def stop(self) -> None:
        await super().stop()
        if self._runner is not None:
            await self._runner.cleanup()


async def serve(port: int, port_file: Path, settings: records.Json, *, until_eof: bool) -> None:
    """Until SIGTERM, or until standard input ends, so that a killed test run leaves nothing behind."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    slack = Standin(**settings)
    try:
        got = await slack.start(port)
        if until_eof:
            loop.add_reader(0, lambda: None if os.read(0, 4096) else over.set())
        partial = port_file.with_name(port_file.name + ".new")
        partial.write_text(str(got))
        partial.rename(port_file)
        await over.wait()
    finally:
        await slack.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.standins.slack.standin", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, default={}, help="fields of records.Settings, as JSON")
    parser.add_argument("--until-eof", action="store_true", help="end with standard input")
    asked = parser.parse_args()
    asyncio.run(serve(asked.port, asked.port_file, asked.settings, until_eof=asked.until_eof))


if __name__ == "__main__":
    main()
