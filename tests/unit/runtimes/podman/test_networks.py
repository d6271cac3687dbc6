"""How Podman is asked to remove a network: by its name, because it finds the users of a network only by that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import errors
from core.model.networks_and_volumes import RemoveNetwork
from core.model.refs import Kind, Ref
from core.model.replies import Status
from runtimes.podman.engine import Podman
from tests.helpers.prepared_daemon import PreparedDaemon, prepared_daemon

ID = "a" * 64
INFO = {"host": {"hostname": "host7", "security": {"rootless": False}}, "store": {"graphRoot": "/r"}}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[PreparedDaemon]:
    async with prepared_daemon(Podman, tmp_path / "p.sock", Libpod_API_Version="4.3.1") as made:
        made.answers["/info"] = (200, json.dumps({**INFO, "version": {"Version": "4.3.1"}}).encode())
        made.answers["/networks/shop"] = (200, json.dumps([{"Name": "shop", "Err": None}]).encode())
        yield made


def removal(daemon: PreparedDaemon) -> RemoveNetwork:
    target = Ref(engine=daemon.engine.ref, kind=Kind.NETWORK, id=ID, name="shop")
    return RemoveNetwork(engine=daemon.engine.ref, target=target)


async def test_a_network_is_removed_by_its_name(daemon: PreparedDaemon) -> None:
    daemon.answers["/networks/shop/json"] = (200, json.dumps({"name": "shop", "id": ID}).encode())
    assert (await daemon.do(removal(daemon))).status == Status.DONE


async def test_another_network_of_the_name_stays(daemon: PreparedDaemon) -> None:
    daemon.answers["/networks/shop/json"] = (200, json.dumps({"name": "shop", "id": "b" * 64}).encode())
    with pytest.raises(errors.NotFound, match="belongs to another network now"):
        await daemon.do(removal(daemon))
