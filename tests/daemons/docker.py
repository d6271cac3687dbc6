"""A private dockerd on a temporary root, started and ended by the test that needs it."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.helpers.private_root import private_root
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for

IMAGE = "localhost/busybox:1"
_NETWORKS = itertools.count(random.randrange(150))


class Dockerd:
    """One private dockerd. `api` is docker-py's low-level client: an implementation other than ours to check
    against."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "d.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None
        self.api: Any = None
        self.more: list[str] = []
        """Further words of its command line."""
        self.host = ""
        """What it takes its machine's name to be; empty for the true one."""

    def start(self) -> None:
        import docker

        log = (self.root / "log").open("ab")
        # A SIGKILLed dockerd leaves these behind, and takes a zombie of its containerd for a living one.
        (self.root / "pid").unlink(missing_ok=True)
        (self.root / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.host] if self.host else []
        with log:
            self.process = subprocess.Popen(
                [*named, "dockerd", "--data-root", self.root / "data",
                 "--exec-root", self.root / "exec", "-H", self.url,
                 "-p", self.root / "pid", "--bridge=none", "--iptables=false", "--ip-masq=false", *self.more],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for("dockerd to answer", self._answers)
        self.api = docker.APIClient(base_url=self.url, version="1.41", timeout=60)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"dockerd ended: {(self.root / 'log').read_text()[-2000:]}")
        with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
            door.settimeout(2)
            door.connect(str(self.socket))
            door.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in door.recv(64)
        return False

    def load_image(self) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            tar.add(shutil.which("busybox") or "/bin/busybox", arcname="bin/busybox")
            for name in ("sh", "sleep", "echo", "cat", "seq", "head", "tr", "printf", "true", "false"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        self.api.import_image_from_data(data.getvalue(), repository="localhost/busybox", tag="1")

    def run(self, name: str, script: str = "exec sleep 3600", *, start: bool = True, **more: Any) -> str:
        """Creates (and starts) a container that runs `script` in sh; returns its id. An `init` ends it at once on TERM;
        without one the script is its first process."""
        init = bool(more.pop("init", True)) and shutil.which("docker-init") is not None
        host = {"network_mode": "none", "init": init}
        host |= more.pop("host", {})
        made = self.api.create_container(
            IMAGE, ["/bin/sh", "-c", script], name=name, host_config=self.api.create_host_config(**host), **more
        )
        if start:
            self.api.start(made["Id"])
        return str(made["Id"])

    kind = "docker"

    def wait(self, name: str) -> int:
        """Its exit code, once it has ended."""
        return int(self.api.wait(name)["StatusCode"])

    def stop(self, name: str) -> None:
        self.api.stop(name, timeout=5)

    def pause(self, name: str) -> None:
        self.api.pause(name)

    def unpause(self, name: str) -> None:
        self.api.unpause(name)

    def remove(self, name: str) -> None:
        self.api.remove_container(name, force=True, v=True)

    def status(self, name: str) -> str:
        return str(self.state(name)["Status"])

    def started(self, name: str) -> str:
        return str(self.state(name)["StartedAt"])

    def exec(self, name: str, argv: Sequence[str]) -> None:
        made = self.api.exec_create(name, list(argv))
        self.api.exec_start(made["Id"])

    def version(self) -> str:
        return str(self.api.version()["Version"])

    def names_of_images(self) -> set[str]:
        return {tag for row in self.api.images() for tag in row["RepoTags"] or ()}

    def network(self, name: str, labels: dict[str, str] | None = None) -> None:
        """Makes one that leads nowhere."""
        # Other daemons here may make some too. Two of one daemon must not be the same.
        subnet = {"Subnet": f"10.{100 + next(_NETWORKS) % 150}.{os.getpid() % 256}.0/28"}
        self.api.create_network(
            name, driver="bridge", internal=True, labels=labels, ipam={"Driver": "default", "Config": [subnet]}
        )

    def volume(self, name: str, labels: dict[str, str] | None = None) -> None:
        self.api.create_volume(name, labels=labels)

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.inspect_container(name)["State"]
        return found

    def clear(self) -> None:
        for row in self.api.containers(all=True):
            with contextlib.suppress(Exception):
                self.api.unpause(row["Id"])
            with contextlib.suppress(Exception):
                self.api.remove_container(row["Id"], force=True, v=True)
        for row in self.api.networks():
            if row["Name"] not in ("none", "host", "bridge"):
                with contextlib.suppress(Exception):
                    self.api.remove_network(row["Id"])
        for row in self.api.volumes()["Volumes"] or ():
            with contextlib.suppress(Exception):
                self.api.remove_volume(row["Name"])

    def kill(self) -> None:
        """SIGKILL, as the kernel would; containers live on until the next start."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)
        self.api.close()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(Exception):
                self.clear()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)
        if self.api is not None:
            self.api.close()


@contextlib.contextmanager
def private_dockerd(*more: str, host: str = "") -> Iterator[Dockerd]:
    need("docker", "dockerd", root=True)
    with private_root() as root:
        daemon = Dockerd(root)
        daemon.more, daemon.host = list(more), host
        try:
            daemon.start()
            daemon.load_image()
            yield daemon
        finally:
            daemon.end()
