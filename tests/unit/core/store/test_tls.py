"""A store that speaks TLS, with a certificate of a CA that states nothing about its key, as `openssl req` makes it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import errors
from core.store.client import Store
from tests.daemons.sshd import Authority
from tests.helpers.requirements import need
from tests.helpers.waiting import free_tcp_port, wait_for


@pytest.fixture
def secured(short_tmp: Path) -> Iterator[tuple[int, Authority]]:
    need("redis", "redis-server", "redis-cli")
    authority, port = Authority(short_tmp), free_tcp_port()
    cert, key = authority.sign("store", alt="IP:127.0.0.1")
    command = [
        "redis-server", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", short_tmp,
        "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", authority.ca, "--tls-auth-clients", "no",
    ]  # fmt: skip
    server = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    try:
        ask = ["redis-cli", "-p", str(port), "--tls", "--cacert", str(authority.ca), "ping"]
        wait_for(
            "the store", lambda: subprocess.run(ask, check=False, capture_output=True, text=True).stdout == "PONG\n"
        )
        yield port, authority
    finally:
        server.kill()
        server.wait()


async def test_a_store_is_reached_over_tls_and_its_certificate_is_verified(secured, short_tmp):
    port, authority = secured
    store = Store.open(f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.ca}")
    assert await store.ping() > 0
    await store.aclose()
    stranger = Authority(short_tmp, "stranger")
    store = Store.open(f"rediss://127.0.0.1:{port}?ssl_ca_certs={stranger.ca}")
    with pytest.raises(errors.StoreDown):
        await store.ping()
    await store.aclose()
