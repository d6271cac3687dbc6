"""A Docker daemon that sends damaged data wherever it can: its watch goes on, and what can be read of it is used."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from runtimes.engine_registry import EngineAddress
from tests.helpers import servers
from tests.helpers.watched_engine import WatchedEngine

HEAD = b"HTTP/1.1 %d X\r\nApi-Version: 1.41\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 X\r\nApi-Version: 1.41\r\nTransfer-Encoding: chunked\r\n\r\n"
INFO = {"ID": "d1", "Name": "h", "Swarm": None, "Containers": "many", "MemTotal": 10**30, "Warnings": [7, None]}
WEB = {"Id": "w" * 64, "Names": ["/web"], "Image": "nginx", "State": "running", "Status": "Up 2 hours", "Labels": {}}
LIST = (
    b"[" + json.dumps(WEB).encode() + b', 5, {"Id": "t1", "Names": ["/torn"], "Status": "Up \xff", "Ports": {"a": 1}},'
    b' {"Id": "n1", "Names": ["/nolabels"], "Labels": ["a=b"]}, {"Names": ["/noid"]}]'
)


def event(action: str, **more: Any) -> bytes:
    labels = {"exitCode": "--5", "signal": "forged", "oldName": "/forged"}
    actor = {"ID": "w" * 64, "Attributes": {"name": "web", "image": "nginx", **labels}}
    return json.dumps({"Type": "container", "Action": action, "Actor": actor, **more}).encode()


EVENTS = (
    b"<html>",
    b'{"Type": "container", "Action": "die", "Actor": {"ID": "\xff',
    b"[" * 100_000,
    event("start", timeNano=10**30),
    event("start", timeNano=None, time="soon"),
    event("health_status: great", timeNano=1),
    b'{"Type": 5, "Action": null, "Actor": [], "timeNano": 7}',
    b'{"Type": "container", "Action": "exec_create: ' + b"x" * (3 << 20) + b'", "timeNano": 7}',
)


class Daemon:
    def __init__(self) -> None:
        self.streams = 0
        self.state = "running"
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            if "/events" in target:
                await self._stream(writer)
            body = self._body(target)
            writer.write(HEAD % (200 if body else 404, len(body)) + body)
            await writer.drain()

    def _body(self, target: str) -> bytes:
        if target.endswith("/info"):
            return json.dumps(INFO).encode()
        if "/containers/json" in target:
            return LIST
        if f"/containers/{'w' * 64}/json" in target:
            state = {"Status": self.state, "ExitCode": 3, "StartedAt": "0000-01-01T00:00:00Z"}
            return json.dumps({"Id": "w" * 64, "Name": "/web", "State": state, "Config": {"Labels": None}}).encode()
        return b'{"Id": "t1", "Sta' if "/containers/t1" in target else b""

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        self.streams += 1
        writer.write(CHUNKED)
        for line in EVENTS:
            writer.write(b"%x\r\n%b\n\r\n" % (len(line) + 1, line))
            await writer.drain()
        await self.ended.wait()
        self.state = "exited"
        line = event("die", timeNano=time.time_ns())
        writer.write(b"%x\r\n%b\n\r\n" % (len(line) + 1, line))
        await asyncio.Event().wait()


async def test_its_watch_goes_on_and_what_can_be_read_is_used(tmp_path: Path) -> None:
    daemon = Daemon()
    async with servers.serving(daemon, tmp_path / "d.sock"):
        async with WatchedEngine(EngineAddress(kind="docker", url=f"unix://{tmp_path}/d.sock")) as watched:
            skipped = watched.runtime.skipped
            await watched.until(lambda: skipped.counts["event"] >= 6)
            assert watched.row("web").state == "running"
            assert watched.row("torn").ref.id == "t1"
            assert watched.row("nolabels") is None  # permissions depend on labels
            daemon.ended.set()
            await watched.until(lambda: watched.row("web").state == "exited")
            await watched.until(lambda: watched.row("web").exit_code == 3)  # the inspection's, not the label's
            await watched.until(lambda: watched.mirror.live)
            died = [one for one in watched.seen if one.action == "die"]
            assert [one.attrs for one in died] == [{"image": "nginx"}]
            assert daemon.streams == 1, "the stream was never opened again"
            counted = watched.counts.registry.get_sample_value(
                "quarterdeck_engine_data_skipped_total", {"host": "h", "engine": "docker", "what": "event"}
            )
            assert counted is not None and counted >= 1
