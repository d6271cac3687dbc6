"""The list of a Swarm's services, with what each takes from its hosts and can read, also if a network
hangs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.model.actions import ListServices
from core.model.refs import EngineRef, Kind, Ref
from core.model.services import Service
from core.ports import Call
from runtimes.swarm import service_verbs
from runtimes.swarm.engine import Swarm
from runtimes.transport.http_client import Response

ENGINE = EngineRef(host="c1", kind="swarm")
NETWORKS = {"n-front": "overlay", "n-host": "host", "n-hangs": None}


class Manager:
    """Answers by the path. A network without a driver hangs. `asked`: the networks, each time."""

    api, address = "1.45", "unix:///m"
    ref = EngineRef(host="m1", kind="docker")

    def __init__(self, *services: dict[str, Any]) -> None:
        self.services, self.asked = services, list[str]()

    def permits(self, verb: str) -> bool:
        return True

    async def ask(self, method: str, target: str, seconds: float, *, body: Any = None, image: str = "") -> Response:
        answer: Any = []
        if target == "/services":
            answer = self.services
        elif target.startswith("/networks/"):
            name = target.removeprefix("/networks/")
            self.asked.append(name)
            if NETWORKS[name] is None:
                await asyncio.sleep(seconds)
                raise AssertionError("it was given up before")
            answer = {"Name": name.removeprefix("n-"), "Driver": NETWORKS[name]}
        return Response(status=200, headers={}, body=json.dumps(answer).encode())

    async def stream(self, target: str, seconds: float) -> Any:
        raise NotImplementedError


def service(id_: str, *networks: str, **container: Any) -> dict[str, Any]:
    template = {"ContainerSpec": {"Image": "nginx", **container}, "Networks": [{"Target": one} for one in networks]}
    return {"ID": id_, "Spec": {"Name": id_, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 1}}}}


@pytest.fixture
async def swarm() -> AsyncIterator[Swarm]:
    made = Swarm(ENGINE, "c1", on_refused=lambda manager: None)
    yield made
    await made.aclose()


async def listed(swarm: Swarm, manager: Manager) -> dict[str, Service]:
    swarm.managers.add(manager)
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    found = await swarm.run(ListServices(engine=ENGINE), Call(id="t", who="t", deadline=deadline, invocation="t"))
    return {row.ref.name: row for row in found.rows}


async def test_a_network_that_hangs_hides_neither_the_services_nor_the_other_networks(
    swarm: Swarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_verbs, "NETWORK_SECONDS", 2.0)
    mounts = [{"Type": "bind", "Source": "/etc", "Target": "/x"}]
    manager = Manager(
        service("stuck", "n-hangs", Mounts=mounts), service("web", "n-front"), service("on-host", "n-host")
    )
    rows = await listed(swarm, manager)
    assert rows["web"].reaches == ()
    assert rows["on-host"].reaches == ("shares the network of the host",)
    assert rows["stuck"].reaches == ("mounts /etc of the host",)
    assert sorted(manager.asked) == ["n-front", "n-hangs", "n-host"]


async def test_the_secrets_and_configs_of_a_service_are_in_its_row(swarm: Swarm) -> None:
    given = [{"SecretID": "s1", "SecretName": "key", "File": {"Name": "key"}}]
    configs = [{"ConfigID": "c9", "ConfigName": "conf"}, {"Runtime": {}}]
    rows = await listed(swarm, Manager(service("web", Secrets=given, Configs=configs), service("odd", Secrets=3)))
    assert rows["web"].values == (
        Ref(engine=ENGINE, kind=Kind.SECRET, id="s1", name="key"),
        Ref(engine=ENGINE, kind=Kind.CONFIG, id="c9", name="conf"),
    )
    assert rows["odd"].values == ()
