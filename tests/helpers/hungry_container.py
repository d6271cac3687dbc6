"""A container that uses more memory than its limit, while its engine watches for that."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

from tests.helpers.waiting import wait_for


def run(daemon: Any, name: str, begin: str = "true", **more: Any) -> str:
    """Starts one that runs `begin`, and then lets it eat; returns what `daemon.run` returns.

    With cgroup v1, containerd and Docker listen for an out-of-memory kill only after they have started the process, and
    ignore it once the cgroup is removed. So the process waits before it eats, and its parent ends a little later.
    """
    go = f"/go-{uuid.uuid4().hex}"
    eat = "x=0123456789; while :; do x=$x$x; done"
    script = f"{begin}; while [ ! -e {go} ]; do sleep 0.05; done; ({eat}); sleep 1; exit 137"
    made: str = daemon.run(name, script, **more)
    wait_for(f"the process of {name}", lambda: _made_in_its_root(go))
    return made


def _made_in_its_root(go: str) -> bool:
    """Makes the file `go` for the process that waits for it. Clients of engines have this word as well, but not a root
    of their own."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if go.encode() in command and not os.path.samestat((process / "root").stat(), Path("/").stat()):
                (process / f"root{go}").touch()
                return True
    return False
