"""Resident memory of `quarterdeck run` on 200 containers, its console used on a terminal: ps, logs, restart.

Private and shared pages alike, as `ps` shows them (VmRSS). The store's server is a process of its own. Beside it, a
process with the watcher, the store's client and the metrics page only, after a scrape (`benchmarks.watch_only`). For
comparison: a bare interpreter, and one that listed the same containers with docker-py.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence

from benchmarks import processes, stage
from benchmarks.figures.start import DOCKER_PY
from benchmarks.harness import Figure, Goal, Table

BOT, WATCH_ONLY = "quarterdeck run, after ps, logs, restart", "watcher, store client and exporter only"
OWN = "; print(next(line for line in open('/proc/self/status') if line.startswith('VmRSS')))"


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    rows: dict[str, list[float]] = {}
    for _ in range(times):
        for name, found in once(scene).items():
            rows.setdefault(name, []).append(found)
    goals = [
        Goal(what="MiB, the whole bot", found=statistics.median(rows[BOT]), most=85),
        Goal(what="MiB, watcher, store client and exporter", found=statistics.median(rows[WATCH_ONLY]), most=50),
    ]
    return [Table(title="memory: resident, on 200 containers", unit="MiB", rows=rows, ours=BOT, goals=goals)]


def once(scene: stage.Stage) -> dict[str, float]:
    with terminal(scene) as (process, console):
        console.until("deck>")
        time.sleep(1)  # the containers are being described
        before = processes.resident(process.pid)
        for line, sign in (("ps -a", "c199"), (f"logs {stage.TALKER} -n 100", f"{stage.LOGGED_LINES} "),
                           ("restart c001 -t 1", "restarted in")):  # fmt: skip
            console.say(line)
            console.until(sign)
            console.until("deck>")
        time.sleep(0.2)
        return {
            "quarterdeck run, at rest": before,
            BOT: processes.resident(process.pid),
            "its store": sum(map(processes.resident, processes.children(process.pid))),
            WATCH_ONLY: watch_only(scene),
            "docker-py, after containers.list": float(scene.run([sys.executable, "-c", DOCKER_PY + OWN]).split()[-2])
            / 1024,
            "python, nothing": float(scene.run([sys.executable, "-c", "pass" + OWN]).split()[-2]) / 1024,
        }


def watch_only(scene: stage.Stage) -> float:
    port = processes.free_port()
    with processes.watch_only(scene.dockerd.url, scene.room / "watch-only", port, scene.environment) as process:
        processes.scrape(port)
        return processes.resident(process.pid)


class Console:
    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._seen = ""

    def say(self, line: str) -> None:
        os.write(self._leader, line.encode() + b"\r")

    def until(self, sign: str) -> None:
        ends = time.monotonic() + 30
        while sign not in self._seen:
            if time.monotonic() > ends:
                raise RuntimeError(f"“{sign}” did not show; the last was {self._seen[-300:]!r}")
            if select.select([self._leader], [], [], 0.1)[0]:
                self._seen += os.read(self._leader, 65536).decode("utf-8", "replace")
        self._seen = self._seen.split(sign, 1)[1]


@contextlib.contextmanager
def terminal(scene: stage.Stage) -> Iterator[tuple[subprocess.Popen[bytes], Console]]:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [*processes.QUARTERDECK, "run"], env={**scene.environment, "TERM": "xterm"}, cwd=scene.room,
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    console = Console(leader)
    try:
        yield process, console
        console.say("exit")
    finally:
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(leader)


figure = Figure(name="memory", summary="resident memory of a running bot", rounds=3, measure=measure)
