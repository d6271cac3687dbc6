"""The image, built as people build it, on an engine of its own that reaches no registry: base images made of what this
machine has, wheels fetched beforehand, no network in any build or container that does not ask for one.

`stage` is built once; the tests on it go to one worker and take turns.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemons.docker import Dockerd, private_dockerd
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need
from tests.image import rootfs

SOURCES = ("bot", "collectors", "commands", "core", "runtimes", "deploy", "charts")
FILES = (
    "Dockerfile",
    ".dockerignore",
    "docker-compose.yml",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements.lock",
)
BASE, IMAGE, STORE = "localhost/python:1", "localhost/quarterdeck:test", "localhost/valkey:1"
SECRET = "hunter2hunter2hunter2"  # in files of the context that must not travel


class Stage:
    """An engine that has the images, and the folder they were built from."""

    def __init__(self, daemon: Dockerd, folder: Path) -> None:
        self.daemon, self.folder = daemon, folder
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("QUARTERDECK_", "SLACK_", "COMPOSE_"))
        }
        self.env |= {"DOCKER_HOST": daemon.url, "DOCKER_BUILDKIT": "0", "NO_COLOR": "1"}

    @property
    def socket_group(self) -> int:
        return self.daemon.socket.stat().st_gid

    def docker(self, *words: str, code: int | None = 0, seconds: float = 60, say: str = "") -> str:
        """What the docker command line prints, both streams; `code` is how it has to end, None for any failure."""
        done = subprocess.run(
            ["docker", *words], env=self.env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=seconds, check=False, input=say,
        )  # fmt: skip
        as_meant = done.returncode == code if code is not None else done.returncode != 0
        assert as_meant, f"docker {' '.join(words)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.docker("inspect", name))[0]
        return found

    def do(self, container: str, line: str, code: int = 0) -> str:
        """One command given within a container, as its people would."""
        return self.docker("exec", container, "quarterdeck", "do", line, code=code)

    def talk(self, container: str, *lines: str) -> str:
        """Several, at its console: one process for all."""
        return self.docker(
            "exec", "-i", container, "quarterdeck", "console", say="".join(f"{line}\n" for line in lines)
        )

    def health(self, name: str) -> str:
        health: str = self.inspect(name)["State"]["Health"]["Status"]
        return health


@pytest.fixture(scope="session")
def _built() -> Iterator[Stage]:
    need("docker", "docker", "dockerd", "redis-server", "redis-cli", "ldd", "strip", root=True)
    folder = Path(tempfile.mkdtemp(prefix="qd-image-"))
    try:
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)
        for name in SOURCES:
            shutil.copytree(ROOT / name, folder / name)
        (folder / "secrets").mkdir(mode=0o700)
        for name in (".env", "secrets/slack_bot_token", "quarterdeck.yaml", "core/.env"):
            (folder / name).write_text(f"# {SECRET}\n")
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--require-hashes",
             "-r", folder / "requirements.lock", "-d", folder / "wheels"],
            check=True, timeout=240,
        )  # fmt: skip
        with private_dockerd() as daemon:
            daemon.api.import_image_from_data(rootfs.python(), repository=BASE.partition(":")[0], tag="1")
            daemon.api.import_image_from_data(rootfs.store(), repository=STORE.partition(":")[0], tag="1")
            stage = Stage(daemon, folder)
            build = ["build", "--network", "none", "--build-arg", f"BASE={BASE}", "--build-arg", "VERSION=1.2.3"]
            stage.docker(*build, "-t", IMAGE, ".", seconds=400)
            yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stage(_built: Stage) -> Iterator[Stage]:
    """The engine with the images, empty of containers and volumes before and after."""
    _clear(_built.daemon)
    yield _built
    _clear(_built.daemon)


def _clear(daemon: Dockerd) -> None:
    daemon.clear()
    for volume in daemon.api.volumes()["Volumes"] or ():
        with contextlib.suppress(Exception):
            daemon.api.remove_volume(volume["Name"])
