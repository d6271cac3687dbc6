"""Runs the demo's containers on an engine that is also used for other purposes.

Everything that the demo creates has the label `quarterdeck.demo` with the number of the user who started it. Nothing
else is ever changed or removed. The client is docker-py, which also works with Podman's socket.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import requests

from core import errors
from deploy.demo.demo_error import DemoError
from deploy.demo.workloads import PROJECT, Workload
from runtimes import engine_discovery

LABEL = "quarterdeck.demo"
LABELS = {LABEL: str(os.getuid())}
# Podman 4.3 always gives an imported image this tag.
IMAGE = f"localhost/quarterdeck-demo-{os.getuid()}:latest"
PUBLIC_IMAGE = "docker.io/library/busybox:stable"
PROGRAMS = ("sh", "cat", "date", "echo", "head", "sleep", "test", "tr")
SECOND = 1_000_000_000  # the engine counts in nanoseconds
TIMEOUT_SECONDS = 60
Failed = (docker.errors.DockerException, requests.RequestException, OSError)


def find_engine() -> DemoEngine:
    """The first Docker or Podman of this machine that answers. Raises DemoError."""
    try:
        found = [each for each in engine_discovery.discover() if each.kind in ("docker", "podman")]
    except errors.QuarterdeckError as error:
        raise DemoError(error.full_message()) from error
    reasons = []
    for address in found:
        if not address.url.startswith("unix://"):
            reasons.append(f"{address.url} is not on this machine.")
            continue
        try:
            return DemoEngine(address.url, address.kind)
        except Failed as error:
            reasons.append(f"{address.url} does not answer: {reason_of(error)}.")
    raise DemoError(
        " ".join(["The demo needs Docker or Podman on this machine.", *reasons])
        + " Start Docker (systemctl start docker), or Podman's socket (systemctl --user start podman.socket)."
    )


class DemoEngine:
    """The part of an engine that the demo uses. Methods raise the exceptions of `Failed`, unless their docstring names
    others. So does the constructor: it asks the engine for its API version, unless the version is given."""

    def __init__(self, url: str, kind: str, version: str | None = None) -> None:
        self.url, self.kind = url, kind
        self.api = docker.APIClient(base_url=url, version=version, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        self.api.close()

    def containers(self) -> Sequence[Mapping[str, Any]]:
        """All containers of this user's demo, in any state."""
        found: list[Mapping[str, Any]] = self.api.containers(all=True, filters={"label": f"{LABEL}={LABELS[LABEL]}"})
        # If the engine ignored the filter, containers of other people must not be removed.
        return [row for row in found if (row.get("Labels") or {}).get(LABEL) == LABELS[LABEL]]

    def measures_usage(self) -> bool:
        """Whether memory limits and usage work. Without root and with cgroup v1, they do not."""
        about = self.api.info()
        # Podman has a separate field for it.
        rootless = about.get("Rootless") or any("rootless" in option for option in about.get("SecurityOptions") or ())
        return not rootless or str(about.get("CgroupVersion", "")).removeprefix("v") != "1"

    def has_image(self, name: str) -> bool:
        try:
            self.api.inspect_image(name)
        except docker.errors.ImageNotFound:
            return False
        return True

    def pull(self, name: str) -> None:
        """Raises DemoError, with what to do."""
        repository, _, tag = name.rpartition(":")
        try:
            said = self.api.pull(repository, tag=tag)
            reason = "" if self.has_image(name) else _error_in(str(said))
        except Failed as error:
            reason = reason_of(error)
        if reason:
            raise DemoError(
                f"The image {name} is not on this machine and cannot be pulled: {reason}. "
                f"Connect this machine to the registry, or load the image into {self.kind}."
            )

    def make_image(self) -> bool:
        """Makes the image of the samples from the installed busybox. False if it is missing or needs libraries."""
        program = shutil.which("busybox")
        if program is None:
            return False
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            tar.add(Path(program).resolve(), arcname="bin/busybox", filter=_of_root)
            for name in PROGRAMS:
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        repository, _, tag = IMAGE.rpartition(":")
        self.api.import_image_from_data(data.getvalue(), repository=repository, tag=tag)
        if self.has_image(IMAGE) and self._image_runs():
            return True
        self.remove_image(IMAGE)
        return False

    def _image_runs(self) -> bool:
        made = self.api.create_container(
            IMAGE,
            ["/bin/sh", "-c", "date"],
            name=f"{PROJECT}-try",
            labels=LABELS,
            host_config=self._limits(32, network_mode="none"),
        )["Id"]
        try:
            self.api.start(made)
            return bool(self.api.wait(made)["StatusCode"] == 0)
        except docker.errors.APIError:
            return False
        finally:
            self.api.remove_container(made, force=True, v=True)

    def run_sample(self, workload: Workload) -> None:
        health = {
            "test": ["CMD-SHELL", workload.health],
            "interval": 2 * SECOND, "timeout": 2 * SECOND, "retries": 1,
        }  # fmt: skip
        labels = LABELS | {
            "com.docker.compose.project": PROJECT,
            "com.docker.compose.service": workload.service,
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
        }
        policy = {"Name": "on-failure" if workload.restarts else "no", "MaximumRetryCount": 0}
        made = self.api.create_container(
            IMAGE, ["/bin/sh", "-c", workload.script], name=workload.name, labels=labels,
            healthcheck=health if workload.health else None,
            host_config=self._limits(workload.memory_mb, restart_policy=policy, network_mode="none", read_only=True),
        )["Id"]  # fmt: skip
        self.api.start(made)

    def check_health(self, workloads: Sequence[Workload]) -> None:
        """Runs the health checks on Podman, which itself runs them only with systemd timers. Does nothing on Docker."""
        for workload in workloads:
            if self.kind == "podman" and workload.health:
                with contextlib.suppress(*Failed):  # it has just ended
                    address = f"{self.api.base_url}/v4.0.0/libpod/containers/{workload.name}/healthcheck"
                    self.api.get(address, timeout=TIMEOUT_SECONDS).close()

    def run_server(self, name: str, image: str, command: Sequence[str], files: Mapping[str, str]) -> None:
        """Starts a server in the host's network. `command` sets its address. `files`: its mounted files."""
        made = self.api.create_container(
            image, list(command), name=f"{PROJECT}-{name}", labels=LABELS,
            host_config=self._limits(512, network_mode="host", pids_limit=512),
        )["Id"]  # fmt: skip
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for path, text in files.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = len(text.encode()), 0o644
                tar.addfile(entry, io.BytesIO(text.encode()))
        self.api.put_archive(made, "/", data.getvalue())
        self.api.start(made)

    def logs(self, name: str) -> str:
        """The last log lines of a server of the demo; empty if they cannot be read."""
        with contextlib.suppress(*Failed):
            return bytes(self.api.logs(f"{PROJECT}-{name}", tail=5)).decode(errors="replace")
        return ""

    def _limits(self, memory_mb: int, **more: Any) -> dict[str, Any]:
        """The limits of every container of the demo. None has a capability or can get one."""
        fixed = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "pids_limit": 64}
        limits: dict[str, Any] = self.api.create_host_config(
            mem_limit=memory_mb << 20, memswap_limit=memory_mb << 20, **fixed | more
        )
        return limits

    def remove_everything(self, pulled: Sequence[str]) -> int:
        """Removes the demo's containers, its image and the images that were pulled for it. Returns the number of
        containers."""
        removed = self.remove_containers()
        for image in (IMAGE, *pulled):
            self.remove_image(image)
        return removed

    def remove_containers(self) -> int:
        """Removes the demo's containers. Returns their number."""
        found = self.containers()
        for row in found:
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_container(row["Id"], force=True, v=True)
        return len(found)

    def remove_image(self, name: str) -> None:
        """Does nothing if the image does not exist, or if other containers use it."""
        with contextlib.suppress(docker.errors.APIError):
            self.api.remove_image(name)


def reason_of(error: BaseException) -> str:
    """One line, without the text that libraries add."""
    inner: BaseException | None = error
    while inner is not None and not getattr(inner, "explanation", None):
        if isinstance(inner, OSError) and isinstance(inner.strerror, str):
            return inner.strerror
        inner = next((part for part in inner.args if isinstance(part, BaseException)), inner.__cause__)
    words = str(getattr(inner, "explanation", None) or error).strip() or type(error).__name__
    return words.splitlines()[0].rstrip(".")[:300]


def _error_in(progress: str) -> str:
    """The last line of a pull's progress, where Podman reports an error."""
    last = progress.strip().rpartition("\n")[2]
    with contextlib.suppress(ValueError):
        found = json.loads(last)
        last = str(found.get("error") or last) if isinstance(found, dict) else last
    return last.rstrip(".")[:300] or "the engine did not say why"


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry
