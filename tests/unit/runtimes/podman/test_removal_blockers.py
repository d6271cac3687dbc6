"""Which containers and pods keep a container from being removed, in the answers of Podman 4.3."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.model.refs import Kind, Ref
from core.model.removal_blockers import FindUsers
from runtimes.podman import removal_blockers
from runtimes.podman.engine import Podman
from tests.helpers.prepared_daemon import PreparedDaemon, prepared_daemon

INFO = {"host": {"hostname": "host7", "security": {"rootless": False}}, "store": {"graphRoot": "/r"}}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[PreparedDaemon]:
    async with prepared_daemon(Podman, tmp_path / "p.sock", Libpod_API_Version="4.3.1") as made:
        made.answers["/info"] = (200, json.dumps({**INFO, "version": {"Version": "4.3.1"}}).encode())
        yield made


def id_of(name: str) -> str:
    return (name * 64)[:64]


def container(name: str, state: str = "running", **more: Any) -> dict[str, Any]:
    return {"Id": id_of(name), "Names": [name], "State": state, "Pod": "", "IsInfra": False, **more}


def say(daemon: PreparedDaemon, rows: Sequence[dict[str, Any]], **dependencies: Sequence[str]) -> None:
    daemon.answers["/containers/json"] = (200, json.dumps(rows).encode())
    for name, needed in dependencies.items():
        body = {"Id": id_of(name), "Dependencies": [id_of(one) for one in needed]}
        daemon.answers[f"/containers/{id_of(name)}/json"] = (200, json.dumps(body).encode())


async def users(daemon: PreparedDaemon, *names: str, force: bool = False) -> list[tuple[Any, ...]]:
    refs = tuple(Ref(engine=daemon.engine.ref, kind=Kind.CONTAINER, id=id_of(name), name=name) for name in names)
    found = await daemon.do(FindUsers(engine=daemon.engine.ref, resources=refs, force=force))
    return [(use.target.name, use.user.kind, use.user.name, use.running, use.forcible) for use in found.rows]


@pytest.mark.parametrize("force", [False, True])
async def test_a_container_is_used_by_those_that_depend_on_it(daemon: PreparedDaemon, force: bool) -> None:
    rows = [container("base", "exited"), container("web"), container("old", "exited"), container("other")]
    say(daemon, rows, base=[], web=["base"], old=["base"], other=[])
    assert await users(daemon, "base", "other", force=force) == [
        ("base", "container", "web", True, False),
        ("base", "container", "old", False, False),
    ]


async def test_a_container_that_is_removed_meanwhile_uses_nothing(daemon: PreparedDaemon) -> None:
    say(daemon, [container("base"), container("web")], base=[])
    body = {"cause": "no such container", "message": "no container with this id", "response": 404}
    daemon.answers[f"/containers/{id_of('web')}/json"] = (404, json.dumps(body).encode())
    assert await users(daemon, "base") == []


async def test_the_container_that_holds_the_network_of_a_pod_is_used_by_the_pod(daemon: PreparedDaemon) -> None:
    pod = {"Pod": id_of("pod"), "PodName": "shop"}
    rows = [container("infra", IsInfra=True, **pod), container("web", **pod), container("other")]
    say(daemon, rows, web=["infra"])
    assert await users(daemon, "infra") == [("infra", "pod", "shop", True, False)]


async def test_not_more_containers_are_inspected_than_there_is_time_for(
    daemon: PreparedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal_blockers, "MAX_INSPECTED", 2)
    say(daemon, [container("base"), container("web"), container("late")], base=[], web=["base"], late=["base"])
    assert [user for _, _, user, _, _ in await users(daemon, "base")] == ["web"]
