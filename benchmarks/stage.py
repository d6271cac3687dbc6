"""What figures share, made when the first asks and gone with the run: a dockerd of our own with 200 containers on it.

Twenty run, the rest were only created; all carry the labels compose gives. Everything is below one temporary directory.
The adapter, the mirror and the watch are the product's own, put together as `quarterdeck run` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collectors import cursor, engine_watcher, event_processor
from core import metrics
from core.ports import Call
from core.store.records import WatchRecord, WatchUpdate
from runtimes import engine_registry
from runtimes.inventory.mirror import Mirror, WatchedEngine
from tests.daemons import docker as daemons_docker
from tests.helpers import waiting

CONTAINERS, RUNNING = 200, 20
LOGGED_LINES = 5000
TALKER = "c000"
LEFT_OUT = ("QUARTERDECK_", "DOCKER_", "PYTHONDONTWRITEBYTECODE")  # variables of this process


class Stage:
    """`stack` closes what is opened here; `room` is the directory everything lives in."""

    def __init__(self, stack: contextlib.AsyncExitStack, room: Path) -> None:
        self._stack = stack
        self.room = room

    @functools.cached_property
    def dockerd(self) -> daemons_docker.Dockerd:
        daemon = self._stack.enter_context(daemons_docker.private_dockerd())
        populate(daemon)
        return daemon

    @functools.cached_property
    def environment(self) -> Mapping[str, str]:
        """For processes that talk to our dockerd and keep nothing but in our room."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(LEFT_OUT)},
            "DOCKER_HOST": self.dockerd.url,
            "QUARTERDECK_ENGINES": json.dumps([{"url": self.dockerd.url}]),
            "DOCKER_CONFIG": str(self.room / "docker"),
            "QUARTERDECK_STATE": str(self.room / "state"),
            "QUARTERDECK_METRICS__LISTEN": "127.0.0.1:0",
            "NO_COLOR": "1",
            "PYTHONPATH": str(Path.cwd()),
            "PYTHONPYCACHEPREFIX": str(self.room / "bytecode"),  # kept from one process to the next, as installed code
        }

    def engine(self) -> WatchedEngine:
        engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=self.dockerd.url))
        self._stack.push_async_callback(engine.aclose)
        return engine

    def run(self, words: Sequence[str], **more: str) -> str:
        """One process to its end; its output."""
        env = {**self.environment, **more}
        done = subprocess.run(words, env=env, cwd=self.room, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout


class CursorStore:
    """Places in the events, kept nowhere: each watch begins anew."""

    async def watch_record(self, engine: str, /) -> WatchRecord:
        return WatchRecord()

    async def update_watch(self, engine: str, update: WatchUpdate, /) -> None:
        return None


@contextlib.asynccontextmanager
async def watching(
    engine: WatchedEngine,
    mirror: Mirror,
    line: event_processor.EventProcessor,
    counts: metrics.Metrics,
    cursors: cursor.CursorStore | None = None,
) -> AsyncIterator[None]:
    """A watch that stands, its mirror filled and described."""
    watch = engine_watcher.EngineWatcher(engine, mirror, line, cursors or CursorStore(), counts)
    task = asyncio.create_task(watch.run(), name="watch")
    try:
        async with asyncio.timeout(60):
            while not mirror.live or mirror.dirty:
                await asyncio.sleep(0.01)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def populate(daemon: daemons_docker.Dockerd) -> None:
    for number in range(CONTAINERS):
        script = "exec sleep 3600"
        if not number:
            line = "a line as services write them, with a request, a status and some time in it"
            script = f'i=0; while [ $i -lt {LOGGED_LINES} ]; do i=$((i+1)); echo "$i {line}"; done; {script}'
        labels = {
            "com.docker.compose.project": f"shop{number // 10}",
            "com.docker.compose.service": f"service{number % 10}",
            "com.docker.compose.container-number": "1",
            "com.docker.compose.config-hash": f"{number:064x}",
            "com.docker.compose.version": "2.26.1",
            "env": "bench",
        }
        daemon.run(f"c{number:03}", script, start=number < RUNNING, labels=labels)
    last = f"{LOGGED_LINES} ".encode()
    waiting.wait_for("the talker's log", lambda: last in daemon.api.logs(TALKER, tail=1))


def call(seconds: float = 60) -> Call:
    return Call(id="bench", who="bench", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="")


class Raw:
    """The least that can be done to ask an engine: one kept connection, the answer's bytes taken and not looked at."""

    def __init__(self, path: Path) -> None:
        self._connection = http.client.HTTPConnection("localhost")
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.settimeout(60)
        self._connection.sock.connect(str(path))

    def get(self, target: str) -> bytes:
        self._connection.request("GET", target)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{target}: {answer.status} {body[:200]!r}")
        return body

    def close(self) -> None:
        self._connection.close()


def docker_py(url: str) -> Any:
    """The docker package's low-level client."""
    import docker  # type: ignore[import-untyped]

    return docker.APIClient(base_url=url, version="1.41", timeout=60)
