"""A test run that is killed leaves no engine behind, and none of its containers."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.private_root import processes_of
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for

SCRIPT = """
import os, signal
from tests.daemons.{module} import {make}
with {make}() as daemon:
    daemon.run("it")
    print(daemon.root, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
ENGINES = {
    "docker": ("docker", "private_dockerd", "dockerd"),
    "podman": ("podman", "private_podman", "podman"),
    "containerd": ("containerd", "private_containerd", "containerd"),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_killed_run_leaves_no_engine(engine):
    module, make, program = ENGINES[engine]
    need(engine, program, root=True)
    script = SCRIPT.format(module=module, make=make)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    root = Path(done.stdout.split()[-1])
    wait_for("the guard to clean up", lambda: not root.exists() and not processes_of(root))
    assert str(root) not in Path("/proc/mounts").read_text()
