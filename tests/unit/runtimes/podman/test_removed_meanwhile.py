"""Podman answers with status 500 when the target of a request is removed while it works on the request. The answers are
those of Podman 4.3, raced with a removal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import errors
from core.model.actions import InspectContainer, Start
from core.model.pods import StartPod
from core.model.refs import Kind, Ref
from runtimes.podman.engine import Podman
from tests.helpers.prepared_daemon import PreparedDaemon, prepared_daemon

GONE, KEPT = "a" * 64, "b" * 64
INFO = {"host": {"hostname": "host7", "security": {"rootless": False}}, "store": {"graphRoot": "/r"}}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[PreparedDaemon]:
    async with prepared_daemon(Podman, tmp_path / "p.sock", Libpod_API_Version="4.3.1") as made:
        made.answers["/info"] = (200, json.dumps({**INFO, "version": {"Version": "4.3.1"}}).encode())
        yield made


def refuse(daemon: PreparedDaemon, begins: str, cause: str, message: str) -> None:
    body = json.dumps({"cause": cause, "message": f"{message}: {cause}", "response": 500})
    daemon.answers[begins] = (500, body.encode())


def ref(daemon: PreparedDaemon, kind: Kind) -> Ref:
    return Ref(engine=daemon.engine.ref, kind=kind, id=GONE, name="job")


async def test_a_container_removed_during_its_inspection_is_gone_and_the_others_are_inspected(
    daemon: PreparedDaemon,
) -> None:
    refuse(daemon, f"/containers/{GONE}/json", "no such container", f"container {GONE} does not exist in database")
    kept = {"Id": KEPT, "Name": "web", "Config": {}, "State": {"Status": "running"}}
    daemon.answers[f"/containers/{KEPT}/json"] = (200, json.dumps(kept).encode())
    found = await daemon.engine.describe([GONE, KEPT], 5.0)
    assert found[GONE] is None
    assert found[KEPT] is not None
    assert found[KEPT].ref.name == "web"


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        ("no such container", f"container {GONE} does not exist in database"),
        ("container has already been removed", f"saving container {GONE} state"),
    ],
)
async def test_a_change_of_a_container_that_is_being_removed_says_that_it_is_gone(
    daemon: PreparedDaemon, cause: str, message: str
) -> None:
    refuse(daemon, f"/containers/{GONE}/start", cause, message)
    with pytest.raises(errors.NotFound, match="has no container job"):
        await daemon.do(Start(engine=daemon.engine.ref, target=ref(daemon, Kind.CONTAINER)))


async def test_a_document_of_a_container_that_is_being_removed_says_that_it_is_gone(daemon: PreparedDaemon) -> None:
    refuse(daemon, f"/containers/{GONE}/json", "no such container", f"container {GONE} does not exist in database")
    with pytest.raises(errors.NotFound, match="has no container job"):
        await daemon.do(InspectContainer(engine=daemon.engine.ref, target=ref(daemon, Kind.CONTAINER)))


async def test_a_pod_that_is_being_removed_is_gone_but_one_without_containers_is_refused(
    daemon: PreparedDaemon,
) -> None:
    start = StartPod(engine=daemon.engine.ref, target=ref(daemon, Kind.POD))
    refuse(daemon, f"/pods/{GONE}/start", "no such pod", f"pod {GONE} not found in database")
    with pytest.raises(errors.NotFound, match="has no pod job"):
        await daemon.do(start)
    refuse(daemon, f"/pods/{GONE}/start", "no such container", f"no containers in pod {GONE} have no dependencies")
    with pytest.raises(errors.Rejected, match="no containers in pod"):
        await daemon.do(start)
