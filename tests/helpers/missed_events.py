"""Makes the events that a watch misses: one crash, one removal, one new container, and 300 events of noise."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from core.model.events import Event, EventKind
from runtimes.proto import cri_pb2 as cri
from tests.daemons.docker import IMAGE
from tests.helpers.waiting import wait_for

NOISE = 300  # more than the 256 that a Docker daemon stores
CRASHES = "until [ -e /go ]; do sleep 0.05; done; exit 3"
LIFE = frozenset(
    {
        EventKind.CREATED,
        EventKind.STARTED,
        EventKind.DIED,
        EventKind.REMOVED,
        EventKind.RENAMED,
        EventKind.PAUSED,
        EventKind.UNPAUSED,
        EventKind.OOM,
    }
)
EXPECTED = sorted(
    [
        (EventKind.DIED, "crashes"),
        (EventKind.DIED, "goes"),
        (EventKind.REMOVED, "goes"),
        (EventKind.CREATED, "comes"),
        (EventKind.STARTED, "comes"),
    ]
)


def prepare(daemon: Any) -> None:
    """Makes the containers that exist before."""
    if daemon.kind == "oci":  # all containers have one root directory
        (daemon.rootfs / "go").unlink(missing_ok=True)
    with ThreadPoolExecutor(3) as pool:
        scripts = {"stays": "exec sleep 3600", "goes": "exec sleep 3600", "crashes": CRASHES}
        list(pool.map(lambda name: daemon.run(name, scripts[name]), scripts))


def happen(daemon: Any) -> None:
    """The crash comes first, so that the noise pushes it out of the daemon's memory, and the new container last."""
    with contextlib.suppress(AssertionError, subprocess.CalledProcessError):  # the crash may kill this program too
        daemon.exec("crashes", ["/bin/sh", "-c", ": > /go"])
    wait_for("the crash", lambda: daemon.status("crashes") == "exited")
    make_noise(daemon)
    daemon.remove("goes")
    daemon.run("comes")


def make_noise(daemon: Any) -> None:
    """Events that change no container."""
    names = [f"localhost/noise-{number}:1" for number in range(NOISE // 2)]
    match daemon.kind:
        case "docker":
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda name: _docker_noise(daemon.api, name), names))
        case "podman":
            _podman_noise(daemon, names)
        case "containerd":
            daemon.ctr("images", "tag", IMAGE, *names)
            daemon.ctr("images", "rm", *names)
        case "cri" if hasattr(daemon, "pod_events"):  # the stand-in for CRI-O
            pod = daemon.kubelet.pod("noise")
            for number in range(NOISE // 2):
                made = daemon.kubelet.container(pod, f"noise-{number}", ["/bin/true"], start=False)
                daemon.kubelet.ask("RemoveContainer", cri.RemoveContainerRequest(container_id=made))
        case "cri":
            ctr = ["ctr", "-a", str(daemon.socket), "-n", "k8s.io", "images"]
            subprocess.run([*ctr, "tag", IMAGE, *names], check=True, capture_output=True)
            subprocess.run([*ctr, "rm", *names], check=True, capture_output=True)
        case _:
            for number in range(NOISE // 2):
                place = daemon.state / f"noise-{number}"
                place.mkdir(0o700)
                place.rmdir()


def _docker_noise(api: Any, name: str) -> None:
    repository, _, tag = name.partition(":")
    api.tag(IMAGE, repository, tag)
    api.remove_image(name)


class _Connection(http.client.HTTPConnection):
    def __init__(self, place: Any) -> None:
        super().__init__("localhost", timeout=30)
        self._place = place

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._place))


def _podman_noise(daemon: Any, names: Iterable[str]) -> None:
    # One after the other: Podman 4.3 loses tags that are given at the same time.
    with contextlib.closing(_Connection(daemon.socket)) as connection:
        for name in names:
            repository, _, tag = name.partition(":")
            for action in ("tag", "untag"):
                connection.request("POST", f"/v4.0.0/libpod/images/{IMAGE}/{action}?repo={repository}&tag={tag}")
                answer = connection.getresponse()
                assert answer.status == 201, answer.read()
                answer.read()


def facts(events: Iterable[Event], daemon: Any) -> list[tuple[EventKind, str]]:
    """What happened to containers, with the names that the tests use."""
    called = getattr(daemon, "called", lambda name: name)
    names = {called(name): name for name in ("stays", "goes", "crashes", "comes") if _exists(daemon, name)}
    found = [event for event in events if event.kind in LIFE and event.type == "container"]
    return sorted((event.kind, names.get(event.subject.name, event.subject.name)) for event in found)


def _exists(daemon: Any, name: str) -> bool:
    return not hasattr(daemon, "made") or name in daemon.made
