"""Creates a private state directory, and containers in it with runc or crun, without Quarterdeck's own code.

Each container has a keeper process, as a shim would be: it adopts the first process, and exits with that process' code.
crun needs cgroup version 2 or none: where both versions are mounted, its calls see a tree without version 2.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.helpers.private_root import private_root
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for

KEEPER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # whoever loses a parent below us is our child
said = open(sys.argv[1] + ".said", "w+b")  # the container keeps it, so it may be no pipe
made = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
if made.returncode:
    said.seek(0)
    sys.stderr.buffer.write(said.read())
    sys.exit(99)
pid = int(open(sys.argv[1]).read())
print("made", flush=True)
while True:
    child, status = os.wait()
    if child == pid:
        sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""
# A view of the control groups in which crun may make what it wants and sees no version 2 beside version 1.
OF_VERSION_1 = """
set -e
mount -t tmpfs view "$1"
for group in /sys/fs/cgroup/*; do
    name=${group##*/}
    if [ "$name" != unified ] && [ -d "$group" ] && [ ! -L "$group" ]; then
        mkdir "$1/$name"
        mount --bind "$group" "$1/$name"
    fi
done
mkdir "$1/unified"
mount --rbind "$1" /sys/fs/cgroup
shift
exec "$@"
"""
ENVIRONMENT = {"PATH": "/bin"}


class OciHost:
    """One state directory. `program` is runc or crun, `state` the directory, `url` its address in Quarterdeck."""

    kind = "oci"

    def __init__(self, root: Path, program: str = "runc", state: Path | None = None) -> None:
        self.root, self.program = root, program
        self.state = state or root / "state"
        self.url = f"file://{self.state}"
        self.group = f"qd-{secrets.token_hex(4)}"
        self.keepers: dict[str, subprocess.Popen[bytes]] = {}
        self.rootfs = root / "rootfs"
        self._make_rootfs()

    def _make_rootfs(self) -> None:
        for folder in ("bin", "proc", "dev", "sys", "tmp"):
            (self.rootfs / folder).mkdir(parents=True, exist_ok=True)
        for binary in ("busybox", "catatonit"):
            shutil.copy(shutil.which(binary) or f"/bin/{binary}", self.rootfs / "bin")
        for name in ("sh", "sleep", "echo", "cat", "seq", "head", "tr", "printf", "true", "false", "kill", "id"):
            (self.rootfs / "bin" / name).symlink_to("busybox")
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)

    # ── containers ───────────────────────────────────────────────────────────────────────────────────────────────

    def bundle(
        self, name: str, words: Sequence[str], *, memory: int = 0, labels: Any = None, environment: Any = None
    ) -> Path:
        """A folder with a `config.json` that runs `words`."""
        folder = self.root / "bundles" / name
        folder.mkdir(parents=True, exist_ok=True)
        mounts: list[dict[str, Any]] = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        ]
        config = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": list(words),
                "env": [f"{key}={value}" for key, value in (ENVIRONMENT | (environment or {})).items()],
                "cwd": "/",
            },
            "root": {"path": str(self.rootfs)},
            "hostname": "box",
            "mounts": mounts,
            "annotations": labels or {},
            "linux": {
                "cgroupsPath": f"/{self.group}/{name}",
                "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
                "resources": {"memory": {"limit": memory, "swap": memory}} if memory else {},
            },
        }
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def run(
        self,
        name: str,
        script: str = "exec sleep 3600",
        *,
        start: bool = True,
        labels: Any = None,
        environment: Any = None,
        tty: bool = False,
        init: bool = True,
        memory: int = 0,
    ) -> str:
        """Creates (and starts) a container that runs `script` in sh, and returns its id in Quarterdeck. With `init`, it
        ends at once on TERM."""
        words = ["/bin/sh", "-c", script]
        words = ["/bin/catatonit", "--", *words] if init else words
        folder = self.bundle(name, words, memory=memory, labels=labels, environment=environment)
        self.create(name, folder)
        if start:
            self.call("start", name)
        return self.id(name)

    def create(self, name: str, folder: Path) -> None:
        if (last := self.keepers.pop(name, None)) is not None:
            self._dismiss(last)
        kept = folder / "pid"
        command = [self.program, "--root", str(self.state), "create", "--bundle", str(folder)]
        keeper = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(kept), *self.view(), *command, "--pid-file", str(kept), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONWARNINGS": ""},
        )
        assert keeper.stdout is not None and keeper.stderr is not None
        self.keepers[name] = keeper
        if keeper.stdout.readline() != b"made\n":
            raise AssertionError(f"{self.program} made no container: {keeper.communicate()[1].decode()}")

    def view(self) -> list[str]:
        """The start of the command line for a call that creates a container."""
        if self.program == "runc" or Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return []
        place = self.root / "view"
        place.mkdir(exist_ok=True)
        return ["unshare", "--mount", "sh", "-c", OF_VERSION_1, "sh", str(place)]

    def call(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.program, "--root", str(self.state), *words],
            check=check,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    def inspect(self, name: str) -> dict[str, Any]:
        """The program's own report of a container's state."""
        found: dict[str, Any] = json.loads(self.call("state", name).stdout)
        return found

    def id(self, name: str) -> str:
        return hashlib.sha256(f"{self.state}\0{name}\0{self.inspect(name)['created']}".encode()).hexdigest()

    def pid(self, name: str) -> int:
        return int(self.inspect(name)["pid"])

    def wait(self, name: str) -> int:
        """Waits for its end and returns its exit code."""
        return self.keepers[name].wait(60)

    def stop(self, name: str) -> None:
        self.call("kill", name, "KILL")
        self.wait(name)

    def pause(self, name: str) -> None:
        self.call("pause", name)

    def unpause(self, name: str) -> None:
        self.call("resume", name)

    def remove(self, name: str) -> None:
        self.call("delete", "--force", name)
        self.wait(name)

    def status(self, name: str) -> str:
        freezer = Path("/sys/fs/cgroup/freezer", self.group, name, "freezer.state")
        # The kernel may still be freezing the processes when `pause` returns; crun reports "running" until it has.
        wait_for(f"{name} to freeze", lambda: not freezer.exists() or freezer.read_text().strip() != "FREEZING")
        status = str(self.inspect(name)["status"])
        return {"stopped": "exited"}.get(status, status)

    def started(self, name: str) -> str:
        return str(self.inspect(name)["created"])

    def exec(self, name: str, argv: Sequence[str]) -> None:
        self.call("exec", name, *argv)

    def version(self) -> str:
        text = subprocess.run([self.program, "--version"], check=True, capture_output=True, text=True).stdout
        return text.split()[2]

    def clear(self) -> None:
        for name in self.keepers:  # what else a test laid there no program is asked about
            if (self.state / name).exists():
                self.call("resume", name, check=False)
                self.call("delete", "--force", name, check=False)
        shutil.rmtree(self.state)
        self.state.mkdir(mode=0o700)
        for keeper in self.keepers.values():
            self._dismiss(keeper)
        self.keepers.clear()
        shutil.rmtree(self.root / "bundles", ignore_errors=True)

    def _dismiss(self, keeper: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.wait(60)
        if keeper.poll() is None:
            keeper.kill()
            keeper.wait(60)
        for stream in (keeper.stdout, keeper.stderr):
            if stream is not None:
                stream.close()

    def end(self) -> None:
        self.clear()
        groups = [*Path("/sys/fs/cgroup").glob(f"*/{self.group}"), Path("/sys/fs/cgroup", self.group)]
        for group in groups:
            for one in [*group.glob("*/"), group]:
                with contextlib.suppress(OSError):
                    one.rmdir()


@contextlib.contextmanager
def private_oci(program: str = "runc") -> Iterator[OciHost]:
    need("oci", program, "busybox", "catatonit", root=True)
    with private_root() as root:
        host = OciHost(root, program)
        try:
            yield host
        finally:
            host.end()
