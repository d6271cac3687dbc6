"""Engines found by themselves: every socket and state directory in its usual place, each once, by its true kind."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import errors
from runtimes import engine_discovery, engine_registry
from runtimes.engine_registry import DefaultAddress, EngineAddress, EngineKind
from runtimes.transport import connect

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
            DefaultAddress("/run/containerd/containerd.sock", "containerd", required_path="/var/lib/kubelet"),
        ),
    ),
    "oci": EngineKind("x:X", (DefaultAddress("/run/runc", "runc", is_directory=True),)),
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
        doors = engine_discovery.discover(environ, str(self.root))
        return [(door.kind, door.url.replace(f"://{self.root}", "://"), door.name) for door in doors]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(engine_registry, "KINDS", KINDS)
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


def names(addresses: Any) -> list[str]:
    return [f"{address.kind}/{address.name}" for address in addresses]


def compared(
    search: engine_discovery.Discovery, current: dict[EngineAddress, bool]
) -> tuple[list[str], list[str], list[str]]:
    changes = search.compare(current)
    return names(changes.added), names(changes.removed), names(changes.vanished)


def test_what_changed_since_the_last_look(machine: Machine) -> None:
    search = engine_discovery.Discovery({}, str(machine.root))
    guess = search.look()
    assert compared(search, dict.fromkeys(guess, False)) == ([], [], [])
    machine.has("/run/podman/podman.sock", "/run/user/7/podman/podman.sock")
    # What never answered and has no socket is removed; what has one is waited for.
    assert compared(search, dict.fromkeys(guess, False)) == (["podman/default", "podman/7"], ["docker/default"], [])
    found = search.look()
    assert compared(search, dict.fromkeys(found, False)) == ([], [], [])
    (machine.root / "run/user/7/podman/podman.sock").unlink()
    assert compared(search, dict.fromkeys(found, False)) == ([], ["podman/7"], [])
    # What has answered is down, not gone.
    assert compared(search, dict.fromkeys(found, True)) == ([], [], ["podman/7"])


def test_docker_is_guessed_only_where_nothing_else_is(machine: Machine) -> None:
    machine.has("/run/podman/podman.sock")
    search = engine_discovery.Discovery({}, str(machine.root))
    (podman,) = search.look()
    (machine.root / "run/podman/podman.sock").unlink()
    assert compared(search, {podman: True}) == ([], [], ["podman/default"])
    assert compared(search, {podman: False}) == (["docker/default"], ["podman/default"], [])


def test_an_engine_whose_path_leads_to_another_one_is_removed_even_if_it_had_answered(machine: Machine) -> None:
    machine.has("/var/run/docker.sock", "/run/podman/podman.sock")
    docker = EngineAddress(kind="docker", url=f"unix://{machine.root}/var/run/docker.sock")
    podman = EngineAddress(kind="podman", url=f"unix://{machine.root}/run/podman/podman.sock")
    search = engine_discovery.Discovery({}, str(machine.root))
    (machine.root / "var/run/docker.sock").unlink()
    (machine.root / "var/run/docker.sock").symlink_to(machine.root / "run/podman/podman.sock")
    assert compared(search, {docker: True, podman: True}) == ([], ["docker/default"], [])


def test_what_the_environment_names_is_read_once_and_stays(machine: Machine) -> None:
    machine.has("/run/crio/crio.sock")
    environ = {"DOCKER_HOST": "unix:///nowhere.sock"}
    search = engine_discovery.Discovery(environ, str(machine.root))
    found = search.look()
    environ["DOCKER_HOST"] = "unix:///elsewhere.sock"
    assert compared(search, dict.fromkeys(found, False)) == ([], [], [])


def test_a_kind_is_known_by_where_it_listens(machine: Machine) -> None:
    assert engine_registry.guess_kind("unix:///run/user/7/podman/podman.sock") == "podman"
    assert engine_registry.guess_kind("ssh://h/run/podman/podman.sock") == "podman"
    assert engine_registry.guess_kind("unix:///elsewhere/crio.sock") == "cri"
    assert engine_registry.guess_kind("unix:///run/k3s/containerd/containerd.sock") == "containerd"
    assert engine_registry.guess_kind("file:///run/runc") == "oci"
    assert engine_registry.guess_kind("tcp://h:2375") == "docker"
    assert engine_registry.guess_kind("unix:///what/ever.sock") == "docker"


def test_one_socket_may_be_two_engines_where_it_speaks_two_languages(machine: Machine) -> None:
    socket = "unix:///run/containerd/containerd.sock"
    both = [EngineAddress(kind="containerd", url=socket), EngineAddress(kind="cri", url=socket)]
    assert engine_registry.find_duplicate(both) == ""
    assert "are the same engine" in engine_registry.find_duplicate(
        [both[0], EngineAddress(kind="containerd", url=socket, name="again")]
    )
    podman = "unix:///run/podman/podman.sock"
    assert "are the same engine" in engine_registry.find_duplicate(
        [EngineAddress(kind="docker", url=podman), EngineAddress(kind="podman", url=podman)]
    )


def test_engines_on_one_host_know_of_each_other(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        engine_registry, "engine_class", lambda kind: lambda url, options: given.update({url: options.watched_kinds})
    )
    opened = engine_registry.EngineRegistry()
    docker = EngineAddress(kind="docker", url="unix:///d.sock")
    opened.open(docker)
    opened.open(EngineAddress(kind="containerd", url="unix:///c.sock"))
    opened.open(EngineAddress(kind="podman", url="ssh://h"))
    kinds = {"unix:///d.sock": {"containerd"}, "unix:///c.sock": {"docker"}, "ssh://h": set()}
    assert {url: set(found) for url, found in given.items()} == kinds
    # As engines come and go, so do these.
    opened.forget(docker)
    assert "docker" not in given["unix:///c.sock"] and len(given["unix:///c.sock"]) == 0
    opened.open(docker)
    assert "docker" in given["unix:///c.sock"]


def test_an_unknown_kind_names_those_that_are_known() -> None:
    with pytest.raises(errors.BadUsage) as caught:
        engine_registry.open_engine(EngineAddress(kind="dokcer", url="unix:///d.sock"))
    assert "docker" in caught.value.hint


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """This process has the rights of nobody."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine whose folders every user may enter."""
    monkeypatch.setattr(engine_registry, "KINDS", KINDS)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Machine(Path(folder))


@pytest.mark.parametrize(
    ("contained", "cure"),
    [
        (False, "Run Quarterdeck as root."),
        (True, "Start this container with the group of that socket: docker run --group-add 0."),
    ],
)
def test_what_an_ordinary_user_may_not_use_is_left_out_with_the_reason(
    shared: Machine, monkeypatch: pytest.MonkeyPatch, contained: bool, cure: str
) -> None:
    monkeypatch.setattr(connect, "in_container", lambda: contained)
    shared.has("/var/run/docker.sock", "/run/containerd/containerd.sock")
    (shared.root / "run/runc").mkdir(mode=0o711)
    (shared.root / "var/run/docker.sock").chmod(0o666)
    (shared.root / "run/containerd/containerd.sock").chmod(0o660)
    discovery = engine_discovery.Discovery({}, str(shared.root))
    assert {address.kind for address in discovery.look()} == {"docker", "containerd", "oci"}
    assert not discovery.not_permitted
    with ordinary_user():
        assert [address.kind for address in discovery.look()] == ["docker"]
    denied = {each.address.kind: each.reason for each in discovery.not_permitted}
    assert denied == {
        "containerd": f"Quarterdeck's user may not use {shared.root}/run/containerd/containerd.sock. {cure}",
        "oci": f"Quarterdeck's user may not read {shared.root}/run/runc. Run Quarterdeck as root.",
    }


def test_a_user_who_may_use_nothing_sees_the_error_of_the_first_socket(shared: Machine) -> None:
    shared.has("/run/podman/podman.sock", "/run/crio/crio.sock")
    for path in ("podman/podman.sock", "crio/crio.sock"):
        (shared.root / "run" / path).chmod(0o660)
    discovery = engine_discovery.Discovery({}, str(shared.root))
    with ordinary_user():
        assert [address.kind for address in discovery.look()] == ["podman"]
    assert [each.address.kind for each in discovery.not_permitted] == ["cri"]


def test_what_the_environment_names_is_used_whatever_its_rights(shared: Machine) -> None:
    shared.has("/var/run/docker.sock")
    (shared.root / "var/run/docker.sock").chmod(0o600)
    discovery = engine_discovery.Discovery({"DOCKER_HOST": f"unix://{shared.root}/var/run/docker.sock"})
    with ordinary_user():
        assert "docker" in [address.kind for address in discovery.look()]
    assert "docker" not in [each.address.kind for each in discovery.not_permitted]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:2375", "tcp://127.0.0.1:2375"),
        ("build-7:4243", "tcp://build-7:4243"),
        ("build-7", "tcp://build-7:2375"),
        ("tcp://build-7", "tcp://build-7:2375"),
        ("tcp://build-7:", "tcp://build-7:2375"),
        ("tcp://build-7:4243/", "tcp://build-7:4243"),
        (":2375", "tcp://localhost:2375"),
        ("tcp://:2375", "tcp://localhost:2375"),
        ("tcp://", "tcp://localhost:2375"),
        ("tcp://[fd00::7]", "tcp://[fd00::7]:2375"),
        ("[fd00::7]:4243", "tcp://[fd00::7]:4243"),
        ("unix://", "unix:///var/run/docker.sock"),
        (" unix:///d.sock ", "unix:///d.sock"),
        ("ssh://ops@build-7", "ssh://ops@build-7"),
    ],
)
def test_docker_host_is_read_as_docker_reads_it(given: str, url: str) -> None:
    (address,) = engine_discovery._chosen({"DOCKER_HOST": given})
    assert address.url == url
    engine_registry.Endpoint.parse(address.url)


def test_docker_host_with_tls_has_another_usual_port(tmp_path: Path) -> None:
    tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    (address,) = engine_discovery._chosen({"DOCKER_HOST": "tcp://build-7", **tls})
    assert address.url == "tcp://build-7:2376"
    assert address.tls is not None


@pytest.mark.parametrize(
    ("given", "reason"),
    [("npipe:////./pipe/docker_engine", "a named pipe of Windows"), ("fd://", "only dockerd itself")],
)
def test_what_docker_host_cannot_be_here_is_refused_with_a_sentence(given: str, reason: str) -> None:
    with pytest.raises(errors.BadUsage, match=reason) as caught:
        engine_discovery.discover({"DOCKER_HOST": given})
    assert given in caught.value.full_message()
    assert "Write " in caught.value.hint
