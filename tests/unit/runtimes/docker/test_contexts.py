"""Docker contexts and what is watched without any settings: docker's own files in, doors or a sentence out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import errors
from runtimes import engine_discovery, engine_registry
from runtimes.docker import contexts
from runtimes.engine_registry import EngineAddress
from runtimes.transport.endpoint import Tls
from tests.helpers.paths import ROOT


class Home:
    """A home directory as docker's client leaves it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.docker = root / ".docker"
        self.environ = {"HOME": str(root)}

    def context(self, name: str, host: str | None, *, certificates: tuple[str, ...] = (), **more: Any) -> Path:
        key = hashlib.sha256(name.encode()).hexdigest()
        file = self.docker / "contexts/meta" / key / "meta.json"
        file.parent.mkdir(parents=True)
        endpoints = {} if host is None else {"docker": {"Host": host, "SkipTLSVerify": False, **more}}
        file.write_text(json.dumps({"Name": name, "Metadata": {"Description": "x"}, "Endpoints": endpoints}))
        for part in certificates:
            pem = self.docker / "contexts/tls" / key / "docker" / f"{part}.pem"
            pem.parent.mkdir(parents=True, exist_ok=True)
            pem.touch()
        return file

    def use(self, name: str) -> None:
        self.docker.mkdir(exist_ok=True)
        (self.docker / "config.json").write_text(json.dumps({"auths": {}, "currentContext": name}))

    def found(self, **environ: str) -> list[EngineAddress]:
        return list(engine_discovery.discover(self.environ | environ, str(self.root / "machine")))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def sentence(name: str, environ: Mapping[str, str]) -> str:
    with pytest.raises((errors.NotFound, errors.BadUsage)) as caught:
        engine_registry.context_address(name, environ=environ)
    assert caught.value.hint
    return caught.value.full_message()


def test_a_context_brings_its_address_and_certificates(home: Home) -> None:
    home.context("far", "ssh://ops@host8")
    home.context("prod", "tcp://host7:2376", certificates=("ca", "cert", "key"))
    assert contexts.load("far", home.environ) == contexts.Context(name="far", url="ssh://ops@host8")
    found = engine_registry.context_address("prod", name="n", allow=("*.list",), environ=home.environ)
    place = home.docker / "contexts/tls" / hashlib.sha256(b"prod").hexdigest() / "docker"
    tls = Tls(ca=f"{place}/ca.pem", cert=f"{place}/cert.pem", key=f"{place}/key.pem")
    door = EngineAddress(kind="docker", url="tcp://host7:2376", name="n", allow=("*.list",), tls=tls, context="prod")
    assert found == door
    assert engine_registry.context_address("default", environ={}).url == "unix:///var/run/docker.sock"


def test_a_context_that_is_not_there_names_those_that_are(home: Home) -> None:
    assert "Create the context with: docker context create prod --docker host=ADDRESS" in sentence("prod", home.environ)
    home.context("prod", "tcp://host7:2376")
    home.context("far", "ssh://host8")
    assert "Use one of these: far, prod." in sentence("pord", home.environ)
    assert "Set HOME" in sentence("prod", {})
    assert "Use one of these: far, prod." in sentence("x", {"DOCKER_CONFIG": str(home.docker)})


def test_a_context_that_is_of_no_use_says_why(home: Home) -> None:
    home.context("open", "tcp://host7:2376", SkipTLSVerify=True)
    assert "turns off the TLS verification of the engine" in sentence("open", home.environ)
    home.context("k8s", None)
    assert "has no address of an engine" in sentence("k8s", home.environ)
    home.context("torn", "x").write_text('{"Name":')
    assert "cannot be decoded" in sentence("torn", home.environ)
    home.context("pipe", "npipe:////./pipe/docker_engine")
    assert "ssh://USER@HOST" in sentence("pipe", home.environ)
    folder = home.context("folder", "x")
    folder.unlink()
    folder.mkdir()
    assert "cannot be read: Is a directory" in sentence("folder", home.environ)
    # What is broken is no reason not to name the others.
    assert contexts.names(home.docker) == ["k8s", "open", "pipe"]


def test_what_a_file_leaves_out_is_the_safe_choice(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home.context("plain", "tcp://host7:2376")
    file.write_text('{"Name": "plain", "Endpoints": {"docker": {"Host": "tcp://host7:2376"}}}')
    assert contexts.load("plain", home.environ).url == "tcp://host7:2376", "the engine is verified"
    # Without an address it is not the local engine.
    for endpoints in ('{"docker": {}}', '{"docker": {"Host": ""}}', "{}"):
        file.write_text(f'{{"Name": "plain", "Endpoints": {endpoints}}}')
        assert "has no address of an engine" in sentence("plain", home.environ)
    # The working directory is not a place of docker's files, also without a config.json.
    monkeypatch.chdir(home.docker)
    with pytest.raises(errors.NotFound):
        contexts.load("plain", {"HOME": str(home.root / "elsewhere")})
    with pytest.raises(errors.NotFound):
        contexts.load("\udce4", home.environ)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text())
def test_no_name_of_a_context_leads_out_of_dockers_folder(home: Home, name: str) -> None:
    with pytest.raises(errors.NotFound):
        contexts.load(name, home.environ)


def test_without_settings_the_docker_clis_order_holds(home: Home) -> None:
    home.context("one", "tcp://host1:2376", certificates=("ca",))
    home.context("two", "ssh://host2")
    (usual,) = home.found()
    assert (usual.url, usual.context) == ("unix:///var/run/docker.sock", "")
    home.use("one")
    assert [door.context for door in home.found()] == ["one"]
    assert [door.url for door in home.found(DOCKER_CONTEXT="two")] == ["ssh://host2"]
    assert [door.context for door in home.found(DOCKER_CONTEXT="default")] == [""]
    (first,) = home.found(DOCKER_HOST="tcp://127.0.0.1:1", DOCKER_CONTEXT="two")
    assert (first.url, first.tls) == ("tcp://127.0.0.1:1", None)
    with pytest.raises(errors.NotFound, match="“three”"):
        home.found(DOCKER_CONTEXT="three")
    home.use("default")
    assert home.found() == [usual]
    (home.docker / "config.json").write_text("{")
    assert home.found() == [usual]


def test_dockers_variables_for_tls_are_honoured(home: Home) -> None:
    def tls(**environ: str) -> Tls | None:
        (door,) = home.found(DOCKER_HOST="tcp://host7:2376", **environ)
        return door.tls

    certificates = home.root / "certs"
    certificates.mkdir()
    where = {"DOCKER_CERT_PATH": str(certificates)}
    assert tls() is None
    assert tls(**where) is None
    assert tls(DOCKER_TLS_VERIFY="", **where) is None
    # As for docker, ours are optional and the CA is not; any value but nothing switches it on.
    assert tls(DOCKER_TLS_VERIFY="0", **where) == Tls(ca=f"{certificates}/ca.pem")
    for part in ("cert", "key"):
        (certificates / f"{part}.pem").touch()
    whole = Tls(ca=f"{certificates}/ca.pem", cert=f"{certificates}/cert.pem", key=f"{certificates}/key.pem")
    assert tls(DOCKER_TLS_VERIFY="1", **where) == whole
    assert tls(DOCKER_TLS="1", **where) == whole
    assert tls(DOCKER_TLS_VERIFY="1") == Tls(ca=f"{home.docker}/ca.pem")
    (local,) = home.found(DOCKER_HOST="unix:///d.sock", DOCKER_TLS_VERIFY="1")
    assert local.tls is None


def test_one_place_twice_or_one_name_twice_is_said(tmp_path: Path) -> None:
    def said(*urls: str, names: tuple[str, ...] = ("default", "default")) -> str:
        return engine_registry.find_duplicate(
            [EngineAddress(kind="docker", url=url, name=name) for url, name in zip(urls, names, strict=True)]
        )

    (tmp_path / "d.sock").touch()
    (tmp_path / "link.sock").symlink_to("d.sock")
    real, link = f"unix://{tmp_path}/d.sock", f"unix://{tmp_path}/link.sock"
    assert "are the same engine" in said(real, link, names=("a", "b"))
    assert "are the same engine" in said("tcp://h:1", "http://h:1/", names=("a", "b"))
    assert "are the same engine" in said("ssh://h", "ssh://h/var/run/docker.sock", names=("a", "b"))
    assert "Give one of them another `name`" in said("unix:///a.sock", "unix:///b.sock")
    assert "Give one of them another `name`" in said("tcp://h:1", "tcp://h:2")
    assert said("unix:///a.sock", "unix:///b.sock", names=("a", "b")) == ""
    assert said("ssh://h", "ssh://i") == ""


def test_an_open_port_is_warned_of_unless_it_is_this_machines_own() -> None:
    def warned(url: str, **more: Any) -> bool:
        return bool(engine_registry.security_warnings([EngineAddress(kind="docker", url=url, **more)]))

    assert warned("tcp://host7:2375")
    assert warned("tcp://10.0.0.7:2375")
    assert not warned("tcp://host7:2376", tls=Tls())
    for url in ("tcp://127.0.0.1:2375", "tcp://[::1]:2375", "tcp://localhost:2375", "ssh://host7", "unix:///d.sock"):
        assert not warned(url)
    (told,) = engine_registry.security_warnings([EngineAddress(kind="docker", url="tcp://host7:2375")])
    assert "root on host7" in told


def test_a_local_socket_loads_nothing_for_other_hosts(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from runtimes import engine_discovery, engine_registry\n"
        "for address in engine_discovery.discover(): engine_registry.open_engine(address)\n"
        "print([name for name in ('transport.tls', 'transport.ssh', 'transport.ssh_errors', 'docker.contexts')"
        " if f'runtimes.{name}' in sys.modules], 'docker' in sys.modules)\n"
    )
    environ = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[] False\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")
def test_a_context_that_somebody_else_can_change_is_not_used(home: Home) -> None:
    """As for root that was started with the HOME of somebody."""
    home.context("theirs", "tcp://evil:2376")
    (home.docker / "config.json").write_text('{"currentContext": "theirs"}')
    assert contexts.chosen(home.environ) == "theirs"
    os.chown(home.root, 12_345, 12_345)
    assert contexts.chosen(home.environ) == ""
    with pytest.raises(errors.BadUsage, match="belongs to uid 12345"):
        contexts.load("theirs", home.environ)
    assert contexts.names(home.docker) == []
    os.chown(home.root, 0, 0)
    assert contexts.load("theirs", home.environ).url == "tcp://evil:2376"
