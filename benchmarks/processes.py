"""Starts the processes that are measured, and reads their memory and CPU time from the kernel."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

QUARTERDECK = [sys.executable, "-m", "bot.cli"]


def resident(pid: int) -> float:
    """MiB of memory, private and shared pages alike (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Of all its threads, to the nanosecond. Threads that ended are not counted."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def children(pid: int) -> Sequence[int]:
    """Those of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def scrape(port: int) -> bytes:
    """One scrape as Prometheus makes it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"/metrics: {answer.status} {body[:200]!r}")
        return body
    finally:
        connection.close()


@contextlib.contextmanager
def bot(room: Path, environment: Mapping[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A whole bot without a console, once its page is served and its containers are known."""
    with running(
        [*QUARTERDECK, "run", "--no-console"], room, environment, QUARTERDECK_METRICS__LISTEN=f"127.0.0.1:{port}"
    ) as process:
        ends = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, RuntimeError):
                scrape(port)
                break
            if time.monotonic() > ends:
                raise RuntimeError("the bot does not serve its page")
            time.sleep(0.1)
        time.sleep(3)  # it lists and describes the containers, and reads their usage
        yield process


@contextlib.contextmanager
def watch_only(url: str, state: Path, port: int, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.watch_only", url, str(state), str(port)]
    process = subprocess.Popen(command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    try:
        if process.stdout.readline().strip() != b"ready":
            raise RuntimeError("the watching process ended")
        yield process
    finally:
        process.stdin.close()
        end(process)
        process.stdout.close()


@contextlib.contextmanager
def running(
    command: Sequence[str], room: Path, environment: Mapping[str, str], **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    null = subprocess.DEVNULL
    process = subprocess.Popen(command, env={**environment, **more}, cwd=room, stdin=null, stdout=null, stderr=null)
    try:
        yield process
    finally:
        process.terminate()
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def engine(dockerd: int) -> Sequence[int]:
    """A dockerd and its containerd, without the containers."""
    return [dockerd, *(pid for pid in children(dockerd) if "containerd" in Path(f"/proc/{pid}/comm").read_text())]
