"""Waiting for a fact, hung processes, and free ports."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import time
from pathlib import Path
from typing import Any


def wait_for(what: str, true: Any, seconds: float = 90.0, *, pause: float = 0.02) -> Any:
    """Polls `true` until it gives something true; fails with `what` at the deadline, which only ends a test that
    hangs: a loaded machine is slow. After a second or so the pauses grow, up to five times `pause`: a poll may start a
    program or draw a page, which others here have to wait for."""
    began = time.monotonic()
    ends = began + seconds
    while (now := time.monotonic()) < ends:
        if found := true():
            return found
        time.sleep(max(pause, min(5 * pause, (now - began) / 20)))
    raise AssertionError(f"waited {seconds} s for {what}")


def hang(pid: int) -> None:
    """Stops all threads of a process, as a hang would. They stop one after the other, so this waits for the last."""

    def stopped() -> bool:
        states = []
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                states.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
        return set(states) == {"T"}

    os.kill(pid, signal.SIGSTOP)
    wait_for(f"process {pid} to stop", stopped)


# Below the ports that Linux gives to connections. Each process of a test run begins at another one.
_PORTS = range(10_000, 32_000)
_candidates = itertools.islice(itertools.cycle(_PORTS), random.SystemRandom().randrange(len(_PORTS)), None)


def free_tcp_port() -> int:
    """A port of 127.0.0.1 that is free, and that nothing else is given before the test uses it: neither a connection of
    this machine nor another test."""
    for port in itertools.islice(_candidates, len(_PORTS)):
        with socket.socket() as door, contextlib.suppress(OSError):
            door.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
