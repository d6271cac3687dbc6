"""A container that ends only when its test lets it: what a test does while the container is being stopped or restarted
may take as long as it likes."""

from __future__ import annotations

from typing import Any

# Its next run does not wait.
SCRIPT = "trap '' TERM; [ -e /end ] && exec sleep 3600; while [ ! -e /end ]; do sleep 0.1; done"


def run(daemon: Any, name: str) -> str:
    """Starts one on a Docker daemon, and returns its id. A command must give it long: `restart web -t 200`."""
    started: str = daemon.run(name, SCRIPT, host={"init": False})
    return started


def let_end(daemon: Any, name: str) -> None:
    daemon.exec(name, ["/bin/sh", "-c", ": > /end"])
