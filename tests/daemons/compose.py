"""docker compose as a program of its own, for tests that hold our view of a project against its own."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.daemons.docker import Dockerd
from tests.helpers.requirements import REQUIRED

FOLDERS = (
    "/usr/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    str(Path.home() / ".docker/cli-plugins"),
)


@functools.cache
def program() -> str:
    """The compose plugin, second generation; empty where there is none."""
    found = shutil.which("docker-compose", path=os.pathsep.join((os.environ["PATH"], *FOLDERS)))
    if found is None:
        return ""
    said = subprocess.run([found, "version", "--short"], capture_output=True, text=True, timeout=60, check=False)
    return found if said.stdout.strip().lstrip("v")[:2] in ("2.", "5.") else ""


class Project:
    """A compose project on a private daemon. Its networks are made by compose; `none` where a service wants none."""

    def __init__(self, daemon: Dockerd, folder: Path, name: str = "shop") -> None:
        if not program():
            reason = "compose: needs docker compose 2"
            if "compose" in REQUIRED:
                pytest.fail(f"{reason}, and QUARTERDECK_REQUIRE_ENGINES requires it")
            pytest.skip(reason)
        self.daemon, self.name = daemon, name
        self.folder = folder / name
        self.folder.mkdir()

    def write(self, text: str) -> None:
        (self.folder / "compose.yaml").write_text(text)

    def say(self, *words: str) -> str:
        done = subprocess.run(
            [program(), "--project-name", self.name, *words],
            cwd=self.folder,
            env={**os.environ, "DOCKER_HOST": self.daemon.url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def ps(self) -> dict[str, str]:
        """State by name, as compose itself tells."""
        rows = [
            json.loads(line) for line in self.say("ps", "--all", "--format", "json").splitlines() if line[:1] == "{"
        ]
        return {row["Name"]: row["State"] for row in rows}

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.daemon.api.inspect_container(name)
        return found

    def down(self) -> None:
        self.say("down", "--volumes", "--remove-orphans", "-t", "1")
