"""Certificates, keys and ssh's files that somebody else can change are not used."""

import os

import pytest

from core import errors
from runtimes.transport import endpoint, ssh, tls_dialer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")
OTHER = 12_345


@pytest.mark.parametrize("part", ["ca", "cert", "key"])
async def test_a_certificate_that_somebody_else_can_change_is_not_used(tmp_path, part):
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text("x")
    os.chown(tmp_path / part, OTHER, OTHER)
    files = endpoint.Tls(**{name: str(tmp_path / name) for name in ("ca", "cert", "key")})
    dialer = tls_dialer.TlsDialer(endpoint.Endpoint.parse("tcp://127.0.0.1:1"), files)
    with pytest.raises(errors.Unreachable, match=f"{part} is not used: it belongs to uid 12345"):
        dialer._current_context()


@pytest.mark.parametrize("part", ["identity", "known_hosts", "config"])
async def test_a_file_of_ssh_that_somebody_else_can_change_is_not_used(tmp_path, part):
    (tmp_path / part).write_text("ProxyCommand touch /tmp/evil\n")
    (tmp_path / part).chmod(0o602)
    dialer = ssh.SshDialer(endpoint.Endpoint.parse("ssh://127.0.0.1"), endpoint.Ssh(**{part: str(tmp_path / part)}))
    failure = await dialer._start()
    assert f"{part} is not used: it can be changed by everyone" in failure.message
    await dialer.aclose()


async def test_ssh_gets_its_agent_and_no_token(tmp_path, monkeypatch):
    program, seen = tmp_path / "ssh", tmp_path / "seen"
    program.write_text(f"#!/bin/sh\nenv >{seen}.new; mv {seen}.new {seen}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    for name in ("SLACK_BOT_TOKEN", "QUARTERDECK_STORE__URL", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "zebra")
    dialer = ssh.SshDialer(endpoint.Endpoint.parse("ssh://127.0.0.1"), endpoint.Ssh())
    await dialer._start()
    await dialer.aclose()
    assert "SSH_AUTH_SOCK=/run/agent" in seen.read_text() and "LC_ALL=C" in seen.read_text()
    assert "zebra" not in seen.read_text()
