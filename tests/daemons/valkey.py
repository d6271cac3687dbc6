"""A private store server, for tests that stop it and start it again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for


class Valkey:
    """One private store server on a unix socket; `stop` and `start` let a test take it away and bring it back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "v.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        from core.store import server_process

        binary = server_process.bundled() or shutil.which("valkey-server") or shutil.which("redis-server")
        if binary is None:
            need("redis", "redis-server")
        # With its usual setting, `everysec`, the server holds writes back while a slow disk is being synchronised. A
        # SIGKILL would then lose them.
        self.process = subprocess.Popen(
            [str(binary), "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "yes",
             "--appendfsync", "no", "--dir", str(self.root)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for("the store to answer", lambda: self.say(b"PING\r\n") == b"+PONG\r\n")

    def say(self, words: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
            door.settimeout(2)
            door.connect(str(self.socket))
            door.sendall(words)
            return door.recv(100)
        return b""

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)
