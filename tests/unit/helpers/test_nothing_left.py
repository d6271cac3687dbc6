"""The suite cleans up after itself: a test that leaves something open fails, and a killed run leaves no process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers.paths import ROOT
from tests.helpers.private_root import processes_of
from tests.helpers.waiting import wait_for

LEAKS = """
import asyncio, socket
async def test_leaks_a_transport():
    left, right = socket.socketpair()
    left.setblocking(False)
    cycle = [await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=left), right]
    cycle.append(cycle)
def test_is_innocent():
    pass
"""
KILLED = """
import os, signal, subprocess
from tests.helpers.private_root import private_root
with private_root() as root:
    subprocess.Popen(["sh", "-c", "sleep 3600", str(root / "x")], start_new_session=True)
    print(root, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_test_that_leaves_something_open_is_named_itself(tmp_path: Path) -> None:
    (tmp_path / "test_leak.py").write_text(LEAKS)
    words = ["-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml", "--rootdir", str(ROOT)]
    done = subprocess.run(
        [sys.executable, *words, "-p", "no:cacheprovider", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    failed = [line for line in done.stdout.splitlines() if line.startswith(("ERROR", "FAILED"))]
    assert failed and all("test_leaks_a_transport" in line for line in failed), done.stdout + done.stderr


def test_a_killed_run_leaves_no_process_and_no_directory() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    root = Path(done.stdout.strip())
    wait_for("the guard to clean up", lambda: not root.exists() and not processes_of(root))
