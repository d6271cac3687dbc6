"""How Podman is asked to remove a network: by its name, because it finds the users of a network only by that. How it is
asked to create one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import errors
from core.model.networks_and_volumes import CreateNetwork, RemoveNetwork
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


CHANGED = "route ip+net: no such network interface"


def refusal(message: str) -> tuple[int, bytes]:
    return 500, json.dumps({"cause": message, "message": message, "response": 500}).encode()


def creation(daemon: PreparedDaemon) -> CreateNetwork:
    return CreateNetwork(engine=daemon.engine.ref, name="shop")


async def test_a_network_is_created_though_interfaces_of_the_machine_change(daemon: PreparedDaemon) -> None:
    daemon.answers["/networks/create"] = (200, json.dumps({"name": "shop", "id": ID}).encode())
    daemon.first["/networks/create"] = [refusal(CHANGED), refusal(CHANGED)]
    assert (await daemon.do(creation(daemon))).status == Status.DONE
    assert len([target for target in daemon.asked if target.endswith("/networks/create")]) == 3


@pytest.mark.parametrize(("message", "requests"), [(CHANGED, 5), ("the subnet is in use", 1)])
async def test_what_does_not_change_is_refused(daemon: PreparedDaemon, message: str, requests: int) -> None:
    daemon.answers["/networks/create"] = refusal(message)
    with pytest.raises(errors.Rejected, match=message[-20:]):
        await daemon.do(creation(daemon))
    assert len([target for target in daemon.asked if target.endswith("/networks/create")]) == requests
