"""Starts a private containerd, and creates containers with `ctr`, its own command line.

Everything is below a temporary root and in a namespace of this daemon only, since control groups and runc's state
directories are named after the namespace, not after the daemon. `ctr` does not report how a task ended: that is read
from the events that another `ctr` prints.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.daemons.docker import IMAGE
from tests.daemons.registry import busybox_layer, docker_archive
from tests.helpers.private_root import private_root
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for

STATES = {"CREATED": "created", "RUNNING": "running", "PAUSED": "paused", "STOPPED": "exited"}


class Containerd:
    """One private daemon. `space` is its usual namespace; `run` returns `namespace/id`, where the id is the name."""

    kind = "containerd"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "c.sock"
        self.url = f"unix://{self.socket}"
        self.space = f"t{root.name.removeprefix('qd-').replace('_', '')}"
        self.process: subprocess.Popen[bytes] | None = None
        self.apart = False
        """In a pid namespace of its own."""
        self._began: dict[str, int] = {}
        self._listener: subprocess.Popen[bytes] | None = None

    # ── the daemon ───────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        (self.root / "config.toml").write_text(
            f"""
version = 2
root = "{self.root}/data"
state = "{self.root}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{self.socket}"
[ttrpc]
  address = "{self.root}/t.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self.root}/opt"
"""
        )

    def start(self) -> None:
        with (self.root / "log").open("ab") as log:
            apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if self.apart else []
            self.process = subprocess.Popen(
                [*apart, "containerd", "-c", self.root / "config.toml"], stdout=log, stderr=log, start_new_session=True
            )
        wait_for("containerd to answer", self._answers)
        with (self.root / "events").open("ab") as events:
            self._listener = subprocess.Popen(["ctr", "-a", self.socket, "events"], stdout=events, stderr=events)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"containerd ended: {(self.root / 'log').read_text()[-2000:]}")
        done = subprocess.run(
            ["ctr", "-a", self.socket, "--timeout", "2s", "version"], capture_output=True, check=False
        )
        return done.returncode == 0

    def ctr(self, *words: str | Path, space: str = "", check: bool = True) -> str:
        done = subprocess.run(
            ["ctr", "-a", self.socket, "-n", space or self.space, *words],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"ctr {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout

    def load_image(self, *spaces: str) -> None:
        archive = self.root / "image.tar"
        archive.write_bytes(docker_archive([busybox_layer()], [IMAGE]))
        for space in spaces or (self.space,):
            self.ctr("images", "import", archive, space=space)

    def version(self) -> str:
        server = self.ctr("version").partition("Server:")[2]
        return next(line.split()[1] for line in server.splitlines() if "Version:" in line)

    def kill(self) -> None:
        """Sends SIGKILL to the daemon. Its containers continue to run."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)
        self._stop_listening()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(Exception):
                self.clear()
            # `unshare` ignores SIGTERM while it waits for the daemon; when it is killed, so is the daemon.
            self.process.send_signal(signal.SIGKILL if self.apart else signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.kill()
            self._listener.wait(60)
            self._listener = None

    # ── containers ───────────────────────────────────────────────────────────────────────────────────────────────

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
        space: str = "",
        more: Sequence[str] = (),
    ) -> str:
        flags = [word for pair in (labels or {}).items() for word in ("--label", "=".join(pair))]
        flags += [word for pair in (environment or {}).items() for word in ("--env", "=".join(pair))]
        command = ["/bin/sh", "-c", script]
        if init:
            # Ends at once on TERM, as an init would make it; ctr swallows the dashes a true one needs.
            command = ["/bin/sh", "-c", 'trap "exit 143" TERM; /bin/sh -c "$0" & wait $!', script]
        flags += ["--tty=true"] if tty else []
        assert not (tty and start), "ctr gives a terminal only to whoever has one"
        flags = ["run", "--detach", "--null-io", *flags] if start else ["containers", "create", *flags]
        self._began[name] = (self.root / "events").stat().st_size
        # Without the dashes it looks for its own flags among the command's.
        self.ctr(*flags, *more, "--", IMAGE, name, *command, space=space)
        if init and start and not self.apart:
            # The kernel drops a TERM that reaches the first process of a container before its trap is set.
            wait_for(f"{name} to catch TERM", lambda: self._catches_term(name))
        return f"{space or self.space}/{name}"

    def wait(self, name: str) -> int:
        def ended() -> list[int]:
            events = self.task_events(name)
            last = [event["pid"] for topic, event in events if topic == "/tasks/start"][-1:]
            return [event["exit_status"] for topic, event in events if topic == "/tasks/exit" and event["pid"] in last]

        return int(wait_for(f"{name} to end", ended)[-1])

    def _catches_term(self, name: str) -> bool:
        """Whether the first process of a container has its handler of TERM, or has ended."""
        (pid,) = [event["pid"] for topic, event in self.task_events(name) if topic == "/tasks/start"][-1:] or [0]
        if not pid:
            return False
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return True
        caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")), 0)
        return "\nState:\tZ" in status or bool(caught >> (signal.SIGTERM - 1) & 1)

    def task_events(self, name: str) -> Sequence[tuple[str, dict[str, Any]]]:
        """The events that `ctr` printed about a container's task since the container was created."""
        found = []
        printed = (self.root / "events").read_bytes()[self._began.get(name, 0) :]
        for line in printed.decode().splitlines():
            head, brace, body = line.partition(" {")
            words = head.split()
            if brace and words[-1].startswith("/tasks/"):
                event = json.loads(f"{{{body}")
                if event.get("container_id") == name and event.get("id", name) == name:
                    found.append((words[-1], {"exit_status": 0, **event}))
        return found

    def task(self, name: str, space: str = "") -> tuple[str, str]:
        """Its process and state; empty if it has no task."""
        for line in self.ctr("tasks", "ls", space=space).splitlines()[1:]:
            words = line.split()
            if words[0] == name:
                return words[1], words[2]
        return "", ""

    def status(self, name: str) -> str:
        return STATES.get(self.task(name)[1], "created")

    def started(self, name: str) -> str:
        return self.task(name)[0]

    def stop(self, name: str) -> None:
        self.ctr("tasks", "kill", "--signal", "SIGTERM", name)
        wait_for(f"{name} to stop", lambda: self.status(name) == "exited")

    def pause(self, name: str) -> None:
        self.ctr("tasks", "pause", name)

    def unpause(self, name: str) -> None:
        self.ctr("tasks", "resume", name)

    def remove(self, name: str, space: str = "") -> None:
        self.ctr("tasks", "resume", name, space=space, check=False)
        self.ctr("tasks", "delete", "--force", name, space=space, check=False)
        self.ctr("containers", "delete", name, space=space)

    def exec(self, name: str, argv: Sequence[str]) -> str:
        return self.ctr("tasks", "exec", "--exec-id", f"x{os.urandom(6).hex()}", name, *argv)

    def spaces(self) -> Sequence[str]:
        return self.ctr("namespaces", "ls", "-q").split()

    def clear(self) -> None:
        for space in self.spaces():
            for name in self.ctr("containers", "ls", "-q", space=space).split():
                with contextlib.suppress(AssertionError):
                    self.remove(name, space)
            if space != self.space:
                for image in self.ctr("images", "ls", "-q", space=space).split():
                    self.ctr("images", "rm", "--sync", image, space=space, check=False)
                self.ctr("namespaces", "rm", space, check=False)


def containerd_version() -> tuple[int, int]:
    """The version of the installed daemon; (0, 0) if there is none."""
    if shutil.which("containerd") is None:
        return 0, 0
    said = subprocess.run(["containerd", "--version"], check=True, capture_output=True, text=True).stdout.split()[2]
    major, minor = said.removeprefix("v").split(".")[:2]
    return int(major), int(minor)


def _remove_control_groups(space: str) -> None:
    for group in sorted(Path("/sys/fs/cgroup").glob(f"*/{space}/*"), reverse=True):
        with contextlib.suppress(OSError):
            group.rmdir()
    for group in [*Path("/sys/fs/cgroup").glob(f"*/{space}"), *Path("/sys/fs/cgroup").glob(space)]:
        with contextlib.suppress(OSError):
            group.rmdir()
    shutil.rmtree(f"/run/containerd/runc/{space}", ignore_errors=True)


@contextlib.contextmanager
def private_containerd(*, apart: bool = False) -> Iterator[Containerd]:
    need("containerd", "containerd", "ctr", "runc", root=True)
    with private_root() as root:
        daemon = Containerd(root)
        daemon.apart = apart
        try:
            daemon.prepare()
            daemon.start()
            daemon.load_image()
            yield daemon
        finally:
            daemon.end()
    _remove_control_groups(daemon.space)
