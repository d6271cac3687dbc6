"""Why no connection to an engine came about: a sentence and what would help, for each way it can fail."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from core import errors
from runtimes.transport import connect
from runtimes.transport.endpoint import Endpoint
from runtimes.transport.http_client import HttpClient
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need
from tests.unit.runtimes.transport.scripted import PATIENCE


async def ask(path: Path) -> errors.Unreachable:
    client = HttpClient(Endpoint.parse(f"unix://{path}"), connections=1)
    for _ in range(2):  # the one place is free again
        with pytest.raises(errors.Unreachable) as caught:
            await client.request("POST", "/", deadline=PATIENCE)
        assert caught.value.sent is False
        with pytest.raises(errors.Unreachable, match=r"\.$"):
            await client.stream("GET", "/", deadline=PATIENCE)
    await client.aclose()
    assert caught.value.hint
    return caught.value


async def test_a_missing_socket_asks_whether_the_engine_runs(tmp_path: Path) -> None:
    assert (await ask(tmp_path / "docker.sock")).message == f"There is no engine socket at {tmp_path / 'docker.sock'}."
    assert "podman.socket" in (await ask(tmp_path / "podman" / "podman.sock")).hint


async def test_a_socket_nobody_listens_on_says_so(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    assert "no engine listens" in (await ask(tmp_path / "s")).message


async def test_a_file_or_folder_is_not_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "in_container", lambda: False)
    (tmp_path / "file").touch()
    assert "is not a socket" in (await ask(tmp_path / "file")).message
    assert "is not a socket" in (await ask(tmp_path)).message
    assert "no engine socket" in (await ask(tmp_path / "file" / "below")).message


async def test_a_container_without_the_socket_is_told_to_mount_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "in_container", lambda: True)
    path = tmp_path / "docker.sock"
    assert f"docker run -v {path}:{path}" in (await ask(path)).hint
    path.mkdir()  # as the engine does for a mounted path that does not exist
    told = await ask(path)
    assert "is a directory, not a socket. The host had no socket" in told.message
    assert "mount that path" in told.hint
    endpoint = Endpoint.parse(f"unix://{path}")  # an ordinary user may not even try
    assert connect.unreachable(endpoint, PermissionError(13, "Permission denied")).message == told.message


async def test_a_path_too_long_for_a_socket_says_so(tmp_path: Path) -> None:
    assert "too long" in (await ask(tmp_path / ("x" * 120))).message


def test_a_forbidden_socket_names_the_group_to_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "in_container", lambda: False)
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    if os.geteuid() == 0:
        os.chown(path, -1, 65530)  # a group without a name
    path.chmod(0o660)
    endpoint = Endpoint.parse(f"unix://{path}")
    told = connect.unreachable(endpoint, PermissionError(13, "Permission denied"))
    group = "65530" if os.geteuid() == 0 else path.group()
    assert f"the group {group} may use" in told.message
    assert f"usermod -aG {group} " in told.hint
    path.chmod(0o600)
    told = connect.unreachable(endpoint, PermissionError(13, "Permission denied"))
    assert told.message.startswith("Only ")
    assert told.hint == f"Run Quarterdeck as {path.owner()}."


@pytest.mark.parametrize("gid", [0, 65530])
def test_in_a_container_the_number_of_the_group_is_for_the_one_who_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gid: int
) -> None:
    """The names of its groups are not those of the host, and there is no usermod."""
    need("docker", root=True)
    monkeypatch.setattr(connect, "in_container", lambda: True)
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    os.chown(path, -1, gid)
    path.chmod(0o660)
    told = connect.unreachable(Endpoint.parse(f"unix://{path}"), PermissionError(13, "Permission denied"))
    assert f"the group {gid} may use" in told.message
    assert f"docker run --group-add {gid}," in told.hint
    path.chmod(0o600)
    told = connect.unreachable(Endpoint.parse(f"unix://{path}"), PermissionError(13, "Permission denied"))
    assert told.hint == f"Run Quarterdeck as {path.owner()}."


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), ConnectionRefusedError(111, "Refused")])
def test_a_relay_that_is_gone_is_started_with_compose_or_in_the_swarm(error: OSError) -> None:
    told = connect.unreachable(Endpoint.parse(f"unix://{connect.RELAY_SOCKET}"), error)
    assert told.message == f"No relay listens on {connect.RELAY_SOCKET}."
    assert "docker compose up -d" in told.hint
    assert "docker service update" in told.hint


def test_the_relays_socket_is_that_of_the_deployment_files() -> None:
    for file in ("docker-compose.yml", "deploy/swarm/stack.yml"):
        assert f"DOCKER_HOST: unix://{connect.RELAY_SOCKET}" in (ROOT / file).read_text()


async def test_a_relay_without_its_engine_says_that_it_is_the_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "docker.sock"
    monkeypatch.setattr(connect, "RELAY_SOCKET", str(path))

    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_unix_server(close, path):
        client = HttpClient(Endpoint.parse(f"unix://{path}"), connections=1)
        with pytest.raises(errors.Unreachable, match="closed the connection") as caught:
            await client.request("GET", "/info", deadline=PATIENCE)
        await client.aclose()
    assert (
        "whether the engine answers, give: engines. If the engine runs, its relay may have failed. Restart the relay."
        in caught.value.hint
    )


def test_a_forbidden_folder_says_so(tmp_path: Path) -> None:
    told = connect.unreachable(Endpoint.parse(f"unix://{tmp_path}/gone/s"), PermissionError(13, "Permission denied"))
    assert "directory" in told.message
    assert "root" in told.hint


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "host7 cannot be resolved"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 2375, 0, 0)"), "Nothing listens at"),
        (TimeoutError(110, "Connection timed out"), "cannot be reached: Connection timed out."),
    ],
)
def test_tcp_errors_are_sentences(error: OSError, words: str) -> None:
    told = connect.unreachable(Endpoint.parse("tcp://host7:2375"), error)
    assert words in told.message
    assert told.sent is False
