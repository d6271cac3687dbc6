"""Waiting for a fact, hung processes, and free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any


def wait_for(what: str, true: Any, seconds: float = 20.0, *, pause: float = 0.02) -> Any:
    """Polls `true` until it gives something true; fails with `what` at the deadline."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := true():
            return found
        time.sleep(pause)
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


def free_tcp_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])
