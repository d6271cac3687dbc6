"""Engines found by themselves: every socket and state directory in its usual place, each once, by its true kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import errors
from runtimes import discovery
from runtimes import registry as runtimes_registry
from runtimes.registry import DefaultAddress, EngineAddress, EngineKind

KINDS = {
    "docker": EngineKind(
        "runtimes.docker.engine:Docker",
        (DefaultAddress("/var/run/docker.sock"), DefaultAddress("{HOME}/d.sock", "desktop")),
    ),
    "podman": EngineKind(
        "x:X",
        (DefaultAddress("/run/podman/podman.sock"), DefaultAddress("/run/user/{uid}/podman/podman.sock", "{uid}")),
    ),
    "containerd": EngineKind("x:X", (DefaultAddress("/run/containerd/containerd.sock"),)),
    "cri": EngineKind(
        "x:X",
        (
            DefaultAddress("/run/crio/crio.sock"),
            DefaultAddress("/run/containerd/containerd.sock", "containerd", beside="/var/lib/kubelet"),
        ),
    ),
    "oci": EngineKind("x:X", (DefaultAddress("/run/runc", "runc", folder=True),)),
}


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root

    def has(self, *paths: str) -> None:
        for path in paths:
            place = Path(f"{self.root}{path}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()

    def found(self, **environ: str) -> list[tuple[str, str, str]]:
        doors = discovery.discover(environ, str(self.root))
        return [(door.kind, door.url.replace(f"://{self.root}", "://"), door.name) for door in doors]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(runtimes_registry, "KINDS", KINDS)
    return Machine(tmp_path)


def test_all_of_them_at_once(machine: Machine) -> None:
    machine.has("/var/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock")
    machine.has(*(f"/run/user/{uid}/podman/podman.sock" for uid in (1001, 1000)), "/run/user/me/podman/podman.sock")
    machine.has("/run/crio/crio.sock")
    (machine.root / "run/runc").mkdir()
    assert machine.found() == [
        ("docker", "unix:///var/run/docker.sock", "default"),
        ("podman", "unix:///run/podman/podman.sock", "default"),
        ("podman", "unix:///run/user/1000/podman/podman.sock", "1000"),
        ("podman", "unix:///run/user/1001/podman/podman.sock", "1001"),
        ("containerd", "unix:///run/containerd/containerd.sock", "default"),
        ("cri", "unix:///run/crio/crio.sock", "default"),
        ("oci", "file:///run/runc", "runc"),
    ]


def test_containerd_speaks_cri_where_a_kubelet_is(machine: Machine) -> None:
    machine.has("/run/containerd/containerd.sock", "/var/lib/kubelet")
    assert [kind for kind, _, _ in machine.found()] == ["containerd", "cri"]


def test_where_nothing_is_dockers_usual_place_is_waited_for(machine: Machine) -> None:
    assert machine.found() == [("docker", "unix:///var/run/docker.sock", "default")]


def test_a_file_is_no_state_directory_and_a_directory_no_socket(machine: Machine) -> None:
    machine.has("/run/runc", "/run/crio/crio.sock/inside")
    assert machine.found() == [("docker", "unix:///var/run/docker.sock", "default")]


def test_dockers_socket_that_leads_to_podman_is_podman_once(machine: Machine) -> None:
    machine.has("/run/podman/podman.sock")
    (machine.root / "var/run").mkdir(parents=True)
    (machine.root / "var/run/docker.sock").symlink_to(machine.root / "run/podman/podman.sock")
    assert machine.found() == [("podman", "unix:///run/podman/podman.sock", "default")]


def test_what_the_command_lines_were_told_comes_before_the_usual_places(machine: Machine) -> None:
    machine.has("/var/run/docker.sock", "/run/podman/podman.sock", "/run/crio/crio.sock")
    assert machine.found(DOCKER_HOST="unix:///d.sock", CONTAINER_HOST="ssh://root@h/run/podman/podman.sock") == [
        ("docker", "unix:///d.sock", "default"),
        ("podman", "ssh://root@h/run/podman/podman.sock", "default"),
        ("cri", "unix:///run/crio/crio.sock", "default"),
    ]
    # Many set DOCKER_HOST to Podman's socket: it is Podman, and there once.
    told = f"unix://{machine.root}/run/podman/podman.sock"
    assert machine.found(DOCKER_HOST=told) == [
        ("docker", "unix:///var/run/docker.sock", "default"),
        ("podman", "unix:///run/podman/podman.sock", "default"),
        ("cri", "unix:///run/crio/crio.sock", "default"),
    ]


def test_a_kind_is_known_by_where_it_listens(machine: Machine) -> None:
    assert runtimes_registry.kind_of("unix:///run/user/7/podman/podman.sock") == "podman"
    assert runtimes_registry.kind_of("ssh://h/run/podman/podman.sock") == "podman"
    assert runtimes_registry.kind_of("unix:///elsewhere/crio.sock") == "cri"
    assert runtimes_registry.kind_of("unix:///run/k3s/containerd/containerd.sock") == "containerd"
    assert runtimes_registry.kind_of("file:///run/runc") == "oci"
    assert runtimes_registry.kind_of("tcp://h:2375") == "docker"
    assert runtimes_registry.kind_of("unix:///what/ever.sock") == "docker"


def test_one_socket_may_be_two_engines_where_it_speaks_two_languages(machine: Machine) -> None:
    socket = "unix:///run/containerd/containerd.sock"
    both = [EngineAddress(kind="containerd", url=socket), EngineAddress(kind="cri", url=socket)]
    assert runtimes_registry.twice(both) == ""
    assert "are one engine" in runtimes_registry.twice(
        [both[0], EngineAddress(kind="containerd", url=socket, name="again")]
    )
    podman = "unix:///run/podman/podman.sock"
    assert "are one engine" in runtimes_registry.twice(
        [EngineAddress(kind="docker", url=podman), EngineAddress(kind="podman", url=podman)]
    )


def test_engines_on_one_host_know_of_each_other(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {}
    monkeypatch.setattr(
        runtimes_registry, "open_engine", lambda door, known, watched_kinds: told.update({door.url: watched_kinds})
    )
    runtimes_registry.open_engines(
        [
            EngineAddress(kind="docker", url="unix:///d.sock"),
            EngineAddress(kind="containerd", url="unix:///c.sock"),
            EngineAddress(kind="podman", url="ssh://h"),
        ]
    )
    assert told == {"unix:///d.sock": {"containerd"}, "unix:///c.sock": {"docker"}, "ssh://h": set()}


def test_an_unknown_kind_names_those_that_are_known() -> None:
    with pytest.raises(errors.BadUsage) as caught:
        runtimes_registry.open_engine(EngineAddress(kind="dokcer", url="unix:///d.sock"))
    assert "docker" in caught.value.hint
