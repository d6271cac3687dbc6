"""Private Podman services for tests, as root and as an ordinary user made for them; driven by the podman CLI, which is
an implementation other than ours to check against.

Everything lies under one temporary root, laid out as Podman lays it out under /run, so that an engine's event file is
found beside its run root. The settings suit machines without CAP_SYS_RESOURCE and with cgroup v1.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.daemons.docker import IMAGE
from tests.helpers.private_root import guarded, private_root
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for

_NUMBERS = itertools.count()
# Equal values: 4.3 swaps soft and hard ones; crun refuses hybrid cgroups.
SETTINGS = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
netns = "none"
[engine]
runtime = "runc"
conmon_path = ["{conmon}"]
helper_binaries_dir = {helpers}
events_logger = "{events}"
events_logfile_max_size = {size}
cgroup_manager = "cgroupfs"
image_copy_tmp_dir = "{root}/tmp"
[engine.runtimes]
runc = ["{runc}"]
[network]
network_config_dir = "{root}/net"
"""
REGISTRIES = """
unqualified-search-registries = []
short-name-mode = "disabled"
[[registry]]
location = "127.0.0.1"
insecure = true
"""


class Podman:
    """One service and its private store. `user`: whose it is; empty for root."""

    kind = "podman"

    def __init__(self, root: Path, user: str = "", *, events: str = "file", size: int = 1_000_000) -> None:
        self.root, self.user = root, user
        self.uid = pwd.getpwnam(user).pw_uid if user else 0
        self.socket = root / "podman/podman.sock"
        self.url = f"unix://{self.socket}"
        # As under /run, or under /run/user/UID: relative to the run root the event file lies where it always does.
        self.run_root = root / ("containers" if user else "containers/storage")
        self.temporary = root / ("libpod/tmp" if user else "libpod")
        self.events = self.temporary / "events/events.log"
        self.process: subprocess.Popen[bytes] | None = None
        for folder in ("podman", "tmp", "net", "home", "dpkg"):
            (root / folder).mkdir(exist_ok=True)
        programs = {name: shutil.which(name) for name in ("conmon", "runc")}
        # Podman may be unpacked into a folder, and its helpers with it.
        prefix = Path(shutil.which("podman") or "/usr/bin/podman").parent.parent
        helpers = [f"{place}/{name}/podman" for place in (prefix, "/usr") for name in ("libexec", "lib")]
        (root / "c.conf").write_text(
            SETTINGS.format(root=root, events=events, size=size, helpers=json.dumps(helpers), **programs)
        )
        (root / "r.conf").write_text(REGISTRIES)
        if user:
            for path in (root, *root.iterdir()):
                os.chown(path, self.uid, pwd.getpwnam(user).pw_gid)

    # ── the service ──────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._words("system", "service", "--time", "0", self.url),
                stdout=log, stderr=log, start_new_session=True, env=self._environment(), cwd=self.root,
            )  # fmt: skip
        wait_for("podman to answer", self._answers)

    def kill(self) -> None:
        """SIGKILL of the service alone; containers live on."""
        assert self.process is not None
        for pid in (*_children(self.process.pid), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                if _is_service(pid, self.root):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait(60)

    def end(self) -> None:
        with contextlib.suppress(Exception):
            self.clear()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"podman ended: {(self.root / 'log').read_text()[-2000:]}")
        with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
            door.settimeout(5)
            door.connect(str(self.socket))
            door.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in door.recv(64)
        return False

    # ── the CLI ──────────────────────────────────────────────────────────────────────────────────────────────────

    def cli(self, *words: str, check: bool = True) -> str:
        for _ in range(20):
            done = subprocess.run(
                self._words(*words), env=self._environment(), cwd=self.root, capture_output=True, text=True,
                timeout=120, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            # `network create` is refused if another test adds an interface while Podman looks for a free subnet.
            if not (done.returncode and "no such network interface" in done.stderr):
                break
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(words)[:200]}: {done.stderr[-1000:]}")
        return done.stdout.strip()

    def _words(self, *words: str) -> list[str]:
        to_user = []
        if self.user:
            to_user = ["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}", "--init-groups"]
        return [
            *to_user, "podman", "--root", f"{self.root}/data", "--runroot", str(self.run_root),
            "--tmpdir", str(self.temporary), *words,
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "XDG_RUNTIME_DIR": str(self.root),
            "CONTAINERS_CONF": str(self.root / "c.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.root / "r.conf"),
            "TMPDIR": str(self.root / "tmp"),
            # Whenever it is asked about itself, it looks up three of its programs in the package database, which takes
            # longer than all the rest. This one is empty.
            "DPKG_ADMINDIR": str(self.root / "dpkg"),
        }

    # ── what every ground offers ─────────────────────────────────────────────────────────────────────────────────

    def load_image(self) -> None:
        archive = self.root / "tmp/busybox.tar"
        with tarfile.open(archive, mode="w") as tar:
            tar.add(shutil.which("busybox") or "/bin/busybox", arcname="bin/busybox")
            for name in ("sh", "sleep", "echo", "cat", "seq", "head", "tr", "printf", "true", "false"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        archive.chmod(0o644)
        self.cli("import", str(archive), IMAGE)

    def run(
        self,
        name: str,
        script: str = "exec sleep 3600",
        *,
        start: bool = True,
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        tty: bool = False,
        init: bool = True,
        more: tuple[str, ...] = (),
    ) -> str:
        """Creates (and starts) a container that runs `script` in sh; returns its id."""
        words = ["run", "-d"] if start else ["create"]
        words += _labelled(labels or {})
        words += [word for key, value in (environment or {}).items() for word in ("--env", f"{key}={value}")]
        words += ["--tty"] if tty else []
        words += ["--init"] if init else []
        return self.cli(*words, *more, "--name", name, IMAGE, "/bin/sh", "-c", script).splitlines()[-1]

    def network(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Makes one that leads nowhere."""
        self.cli("network", "create", "--internal", *_labelled(labels or {}), name)

    def volume(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        self.cli("volume", "create", *_labelled(labels or {}), name)

    def wait(self, name: str) -> int:
        return int(self.cli("wait", name))

    def stop(self, name: str, seconds: int = 5) -> None:
        self.cli("stop", "-t", str(seconds), name)

    def pause(self, name: str) -> None:
        self.cli("pause", name)

    def unpause(self, name: str) -> None:
        self.cli("unpause", name)

    def remove(self, name: str) -> None:
        self.cli("rm", "-f", "-t", "0", name)

    def inspect(self, name: str) -> Any:
        return json.loads(self.cli("inspect", "--type", "container", name))[0]

    def status(self, name: str) -> str:
        return str(self.inspect(name)["State"]["Status"])

    def started(self, name: str) -> str:
        return str(self.inspect(name)["State"]["StartedAt"])

    def exec(self, name: str, argv: list[str]) -> str:
        return self.cli("exec", name, *argv)

    def logs(self, name: str) -> str:
        return self.cli("logs", name)

    def version(self) -> str:
        return str(json.loads(self.cli("version", "--format", "json"))["Client"]["Version"])

    def keep_base_image_only(self) -> None:
        """Removes all other images, with the containers that use them."""
        base = self.cli("image", "inspect", IMAGE, "--format", "{{.Id}}")
        others = [one for one in self.cli("images", "-a", "-q", "--no-trunc").split() if not one.endswith(base)]
        for image in dict.fromkeys(others):
            self.cli("rmi", "-f", image, check=False)

    def clear(self) -> None:
        """A process for each kind of thing takes longer than many a test, so there is one only for what the service
        lists, or if the service does not answer."""
        if self._may_have("pods"):
            self.cli("pod", "rm", "-f", "-a", "-t", "0", check=False)
        if self._may_have("containers", "?all=true"):
            self.cli("rm", "-f", "-a", "-t", "0", check=False)
        if self._may_have("volumes"):
            self.cli("volume", "rm", "-f", "-a", check=False)
        if self._may_have("networks"):
            self.cli("network", "prune", "-f", check=False)

    def _may_have(self, things: str, query: str = "") -> bool:
        """Whether there is one, not counting the network that is always there; True if the service does not say."""
        request = f"GET /v4.0.0/libpod/{things}/json{query} HTTP/1.0\r\n\r\n"
        try:
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(10)
                door.connect(str(self.socket))
                door.sendall(request.encode())
                with door.makefile("rb") as answer:
                    head, _, body = answer.read().partition(b"\r\n\r\n")
            found = json.loads(body) or ()
        except (OSError, ValueError):
            return True
        return b" 200 " not in head[:16] or any(things != "networks" or one["name"] != "podman" for one in found)


def _labelled(labels: Mapping[str, str]) -> list[str]:
    return [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(entry.name))
    return [*found, *(below for child in found for below in _children(child))]


def _is_service(pid: int, root: Path) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return b"service" in words and any(str(root).encode() in word for word in words)


@contextlib.contextmanager
def private_podman(user: str = "", *, events: str = "file", size: int = 1_000_000) -> Iterator[Podman]:
    need("podman", "podman", "conmon", "runc", root=True)
    with private_root() as root:
        daemon = Podman(root, user, events=events, size=size)
        try:
            daemon.start()
            daemon.load_image()
            yield daemon
        finally:
            daemon.end()


@contextlib.contextmanager
def ordinary_user() -> Iterator[str]:
    """A user made for this, with subordinate ids; gone afterwards."""
    need("podman", "useradd", "userdel", "setpriv", "newuidmap", root=True)
    name = f"qd{os.getpid()}{next(_NUMBERS)}"
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True, capture_output=True)
    with guarded("user", name):
        try:
            yield name
        finally:
            subprocess.run(["userdel", name], check=False, capture_output=True)


@contextlib.contextmanager
def rootless_podman(*, events: str = "file") -> Iterator[Podman]:
    with ordinary_user() as user, private_podman(user, events=events) as daemon:
        yield daemon
