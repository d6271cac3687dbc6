"""A real store server without persistence, emptied before each test: Valkey, and Redis where it is installed."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.store import server_process
from tests.helpers.requirements import need


@pytest.fixture(scope="session", params=["valkey", "redis"])
def store_socket(request: pytest.FixtureRequest) -> Iterator[Path]:
    bundled = server_process.bundled() if request.param == "valkey" else None
    binary = bundled or shutil.which(f"{request.param}-server")
    if binary is None:
        need("redis", f"{request.param}-server")
    with tempfile.TemporaryDirectory(prefix="qd-test-") as folder:
        path = Path(folder) / "s.sock"
        command = [str(binary), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while not _say(path, b"PING\r\n"):
                assert server.poll() is None and time.monotonic() < deadline, "the store did not start"
                time.sleep(0.02)
            yield path
        finally:
            server.kill()
            server.wait()


@pytest.fixture
def store_url(store_socket: Path) -> str:
    assert _say(store_socket, b"FLUSHALL\r\n") == b"+OK\r\n"
    assert _say(store_socket, b"SCRIPT FLUSH\r\n") == b"+OK\r\n"
    return f"unix://{store_socket}"


def _say(path: Path, words: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
        door.settimeout(2)
        door.connect(str(path))
        door.sendall(words)
        return door.recv(100)
    return b""
