"""Logins for registries: the files of docker's and Podman's clients in, a login or a sentence out."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.text import known_secrets
from runtimes.base import credential_helper, registry_auth, registry_login_files
from runtimes.base.registry_auth import RegistryLogins
from tests.helpers.paths import ROOT

SECRET = "harbour-master"


def encoded(user: str, password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


class Host:
    """The files of one user's clients."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"HOME": str(root), "XDG_RUNTIME_DIR": str(root / "run")}
        self.opened: list[RegistryLogins] = []

    def docker(self, **config: Any) -> Path:
        return self._write(self.root / ".docker/config.json", config)

    def podman(self, **config: Any) -> Path:
        return self._write(self.root / "run/containers/auth.json", config)

    def _write(self, file: Path, config: Any) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(config))
        return file

    def helper(self, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
        program = self.root / "bin" / f"docker-credential-{name}"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{textwrap.dedent(script)}")
        program.chmod(0o700)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return program

    def logins(self, kind: str = "docker", url: str = "ssh://host7", **more: Any) -> RegistryLogins:
        self.opened.append(RegistryLogins(kind, url, environ=self.environ, **more))
        return self.opened[-1]

    async def user(self, image: str, kind: str = "docker", **more: Any) -> str:
        found = await self.logins(kind, **more).find(image)
        return found.login.username if found.login is not None else ""


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    given = Host(tmp_path)
    yield given
    for logins in given.opened:
        logins.close()
    known_secrets.forget_all()


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("busybox", "hub"),
        ("docker.io/library/busybox:1", "hub"),
        ("index.docker.io/mine/app", "hub"),
        ("r.example/app:1", "whole"),
        ("r.example:5000/app", "port"),
        ("r.example/team/app", "team"),
        ("r.example/team/deep/app", "deep"),
        ("r.example/teams/app", "whole"),
        ("old.example/app", "url"),
        ("other.example/app", ""),
        ("r.example.evil/app", ""),
        ("127.0.0.1:5000/app", "loop"),
        ("q.example/other/app", ""),
        ("q.example/team/app", "only-team"),
    ],
)
async def test_the_entry_that_is_meant_is_used(host: Host, image: str, user: str) -> None:
    host.docker(
        auths={
            "https://index.docker.io/v1/": encoded("hub"),
            "r.example/team": encoded("team"),
            "r.example/team/deep": encoded("deep"),
            "r.example": encoded("whole"),
            "r.example:5000": encoded("port"),
            "https://old.example/v2/": encoded("url"),
            "127.0.0.1:5000": encoded("loop"),
            # docker.auth alone would use this one for the whole registry.
            "q.example/team": encoded("only-team"),
        }
    )
    assert await host.user(image) == user


async def test_each_engine_asks_the_files_of_its_own_client_first(host: Host) -> None:
    host.docker(auths={"r.example": encoded("docker"), "d.example": encoded("docker")})
    host.podman(auths={"r.example": encoded("podman"), "p.example": encoded("podman")})
    for kind in ("docker", "cri", "containerd"):
        assert await host.user("r.example/a", kind) == "docker"
    assert await host.user("r.example/a", "podman") == "podman"
    assert (await host.user("p.example/a", "docker"), await host.user("d.example/a", "podman")) == ("podman", "docker")
    host.environ["REGISTRY_AUTH_FILE"] = str(host.root / "mine.json")
    assert await host.user("r.example/a", "podman") == "docker", "the file that is named does not exist"
    (host.root / "mine.json").write_text(json.dumps({"auths": {"r.example": encoded("mine")}}))
    assert await host.user("r.example/a", "podman") == "mine"
    host.environ["DOCKER_CONFIG"] = str(host.root / "elsewhere")
    assert await host.user("d.example/a") == ""


async def test_one_bad_entry_costs_only_itself(host: Host) -> None:
    file = host.docker(
        auths={
            "bad.example": {"auth": "no-colon-in-here"},
            "worse.example": "text",
            "empty.example": {},
            "good.example": encoded("good"),
            "plain.example": {"username": "plain", "password": SECRET},
            "token.example": {"auth": encoded("x", "")["auth"], "identitytoken": "tkn-123456"},
        }
    )
    assert await host.user("good.example/a") == "good"
    assert await host.user("plain.example/a") == "plain"
    found = await host.logins().find("bad.example/a")
    assert found.login is None and f"The entry bad.example of {file} cannot be decoded" in found.hint
    assert (await host.logins().find("empty.example/a")).login is None
    token = (await host.logins().find("token.example/a")).login
    assert token is not None and (token.username, token.identity_token) == ("", "tkn-123456")
    assert json.loads(base64.urlsafe_b64decode(token.docker_header())) == {
        "serveraddress": "token.example",
        "identitytoken": "tkn-123456",
    }
    file.write_text("{")
    found = await host.logins().find("good.example/a")
    assert found.login is None and "does not have the format" in found.hint


async def test_no_login_is_shown(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.docker(auths={"r.example": encoded("mate")})
    found = await host.logins().find("r.example/a")
    assert found.login is not None and found.login.password == SECRET
    assert "login of mate from" in found.hint
    header = found.login.docker_header()
    for text in (repr(found), str(found.login), found.hint, caplog.text):
        assert SECRET not in text and header not in text
    assert known_secrets.mask_known(f"pull: {SECRET} is refused") == f"pull: {known_secrets.MASK} is refused"
    assert json.loads(base64.urlsafe_b64decode(found.login.podman_header())) == {
        "r.example": {"username": "mate", "password": SECRET}
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")
async def test_a_file_that_somebody_else_can_change_is_not_read_and_names_no_program(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.helper("evil", f"touch {host.root}/started\necho '{{}}'", monkeypatch)
    file = host.docker(auths={"r.example": encoded("theirs")}, credsStore="evil")
    os.chown(file, 12_345, 12_345)
    found = await host.logins().find("r.example/a")
    assert found.login is None and f"{file} is not read: it belongs to uid 12345." in found.hint
    os.chown(file, 0, 0)
    file.chmod(0o666)
    assert "can be changed by everyone" in (await host.logins().find("r.example/a")).hint
    assert not (host.root / "started").exists()
    # A link to it is judged by the whole path.
    file.chmod(0o600)
    os.chown(host.root / ".docker", 12_345, 12_345)
    assert (await host.logins().find("r.example/a")).login is None
    os.chown(host.root / ".docker", 0, 0)
    assert await host.user("r.example/a") == "theirs"
    assert (host.root / "started").exists()


async def test_a_pipe_or_a_huge_file_blocks_nothing(host: Host) -> None:
    (host.root / ".docker").mkdir()
    file = host.root / ".docker/config.json"
    os.mkfifo(file)
    assert "it is not a regular file" in (await host.logins().find("r.example/a")).hint
    file.unlink()
    file.write_bytes(b" " * (registry_login_files.MAX_FILE + 1))
    assert "larger than" in (await host.logins().find("r.example/a")).hint
    file.unlink()
    (host.root / "real.json").write_text(json.dumps({"auths": {"r.example": encoded("linked")}}))
    file.symlink_to(host.root / "real.json")
    assert await host.user("r.example/a") == "linked"


async def test_a_helper_comes_before_the_entries_and_its_failure_costs_only_its_login(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"ServerURL": "r.example", "Username": "helped", "Secret": SECRET})
    host.helper("cabin", f"test $(cat) = r.example && echo '{answer}' || echo credentials not found in it", monkeypatch)
    host.docker(auths={"r.example": encoded("entry"), "s.example": encoded("entry")}, credsStore="cabin")
    assert await host.user("r.example/a") == "helped"
    host.helper("cabin", "cat > /dev/null; echo 'credentials not found in native keychain'; exit 1", monkeypatch)
    assert await host.user("r.example/a") == "entry"
    host.helper("cabin", f"echo {SECRET}; echo {SECRET} >&2; exit 3", monkeypatch)
    assert await host.user("r.example/a") == "entry"
    found = await host.logins().find("t.example/a")
    assert found.login is None and "docker-credential-cabin failed with status 3" in found.hint
    assert SECRET not in found.hint
    host.helper("cabin", f"cat > /dev/null; echo {SECRET}", monkeypatch)
    found = await host.logins().find("t.example/a")
    assert "printed something that is not a login" in found.hint and SECRET not in found.hint
    host.docker(credHelpers={"r.example": "none-of-that-name"})
    assert "was not found" in (await host.logins().find("r.example/a")).hint
    host.docker(credHelpers={"r.example": "../../bin/sh"})
    assert "is not the name of a program" in (await host.logins().find("r.example/a")).hint


async def test_a_helper_gives_a_token_for_docker_hub(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps({"Username": "<token>", "Secret": "tkn-123456"})
    host.helper("cabin", f"test $(cat) = https://index.docker.io/v1/ && echo '{answer}'", monkeypatch)
    host.docker(credsStore="cabin")
    login = (await host.logins().find("busybox")).login
    assert login is not None and (login.registry, login.username) == ("docker.io", "")
    assert login.identity_token == "tkn-123456"


async def test_a_helper_that_hangs_or_floods_is_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_helper, "SECONDS", 0.3)
    host.docker(credsStore="cabin")
    host.helper("cabin", "exec sleep 600", monkeypatch)
    found = await host.logins().find("r.example/a")
    assert found.login is None and "did not end within" in found.hint
    monkeypatch.setattr(credential_helper, "SECONDS", 30.0)
    host.helper("cabin", "head -c 3000000 /dev/zero; echo", monkeypatch)
    assert "printed something that is not a login" in (await host.logins().find("r.example/a")).hint


@pytest.mark.parametrize(
    ("url", "tls", "sent"),
    [
        ("ssh://host7", False, True),
        ("tcp://host7:2376", True, True),
        ("tcp://host7:2375", False, False),
        ("tcp://127.0.0.1:2375", False, True),
        ("tcp://localhost:2375", False, True),
    ],
)
async def test_a_login_is_not_sent_in_the_open(host: Host, url: str, tls: bool, sent: bool) -> None:
    host.docker(auths={"r.example": encoded("mate")})
    found = await host.logins(url=url, has_tls=tls).find("r.example/a")
    assert (found.login is not None) == sent
    assert sent or "has no TLS" in found.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")
async def test_the_engine_of_another_user_gets_no_login(host: Host) -> None:
    host.docker(auths={"r.example": encoded("mate")})
    path = host.root / "e.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        logins = host.logins("podman", f"unix://{path}")
        assert (await logins.find("r.example/a")).login is not None
        os.chown(path, 12_345, 12_345)
        found = await logins.find("r.example/a")
        assert found.login is None and "its socket belongs to uid 12345. On the engine's host" in found.hint
        os.chown(path, 0, 0)
        os.chown(host.root, 12_345, 12_345)
        found = await logins.find("r.example/a")
        os.chown(host.root, 0, 0)
        assert found.login is None and f"the folder {host.root} of its socket belongs to uid 12345" in found.hint


def test_nothing_is_imported_before_the_first_question() -> None:
    code = (
        "import sys; from runtimes import engine_registry; from runtimes.engine_registry import EngineAddress\n"
        "for kind in ('docker', 'podman', 'cri', 'containerd'):\n"
        "    engine_registry.open_engine(EngineAddress(kind=kind, url='unix:///nowhere/e.sock'))\n"
        "print([name for name in ('docker', 'podman', 'requests', 'urllib3') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


async def test_the_loop_runs_while_the_package_is_loaded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import happens in the thread that reads the files."""
    seen: list[str] = []
    original = registry_auth._auth

    def watched() -> Any:
        import threading

        seen.append(threading.current_thread().name)
        return original()

    monkeypatch.setattr(registry_auth, "_auth", watched)
    host.docker(auths={"r.example": encoded("mate")})
    assert await host.user("r.example/a") == "mate"
    assert seen[0].startswith("registry logins")
