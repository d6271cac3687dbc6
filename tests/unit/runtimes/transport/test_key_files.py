"""Certificates, keys and ssh's files that somebody else can change are not used."""

import os

import pytest

from core import errors
from runtimes.transport import endpoint, ssh, tls

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")
OTHER = 12_345


@pytest.mark.parametrize("part", ["ca", "cert", "key"])
async def test_a_certificate_that_somebody_else_can_change_is_not_used(tmp_path, part):
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text("x")
    os.chown(tmp_path / part, OTHER, OTHER)
    files = endpoint.Tls(**{name: str(tmp_path / name) for name in ("ca", "cert", "key")})
    dialer = tls.TlsDialer(endpoint.Endpoint.parse("tcp://127.0.0.1:1"), files)
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
