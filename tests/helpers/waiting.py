"""Waiting for a fact, and free ports."""

from __future__ import annotations

import socket
import time
from typing import Any


def wait_for(what: str, true: Any, seconds: float = 20.0, *, pause: float = 0.02) -> Any:
    """Polls `true` until it gives something true; fails with `what` at the deadline."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := true():
            return found
        time.sleep(pause)
    raise AssertionError(f"waited {seconds} s for {what}")


def free_tcp_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])
