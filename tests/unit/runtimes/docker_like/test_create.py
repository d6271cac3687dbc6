"""Creating a container on Docker, step by step: what each failure leaves behind, and what is said of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.model.background_jobs import ReadJob, StopJob
from core.model.create_container import CreateContainer
from core.model.host_access import HostAccess, MountPoint
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.docker.engine import Docker
from tests.helpers.prepared_daemon import PreparedDaemon
from tests.helpers.servers import serving

NEW = "f" * 64


class Daemon(PreparedDaemon):
    """Reads bodies too. `silent`: the starts of requests (`POST /containers/create`) that it never answers."""

    def __init__(self, path: Path) -> None:
        super().__init__(Docker, path)
        self.silent: set[str] = set()
        self.hang = ""
        self.requests: list[tuple[str, Any]] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target = head.split()[:2]
            bare = target.partition("/v1.41")[2] or target
            length = next(
                (int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0
            )
            body = await reader.readexactly(length)
            asked = f"{method} {bare}"
            self.requests.append((asked, json.loads(body) if body else None))
            if self.hang and asked.startswith(self.hang):
                await asyncio.Event().wait()
            if any(asked.startswith(one) for one in self.silent):
                writer.close()
                return
            begins = max((one for one in self.answers if asked.startswith(one)), key=len, default="")
            status, answer = self.answers.get(begins, (404, b'{"message": "no such thing"}'))
            writer.write(f"HTTP/1.1 {status} X\r\nApi-Version: 1.41\r\nContent-Length: {len(answer)}\r\n\r\n".encode())
            writer.write(answer)
            await writer.drain()

    def say(self, begins: str, body: Any = None, status: int = 200) -> None:
        self.answers[begins] = (status, json.dumps(body).encode() if body is not None else b"")

    def told(self, begins: str) -> list[Any]:
        return [body for asked, body in self.requests if asked.startswith(begins)]

    async def run(self, **fields: Any) -> Outcome:
        fields = {"image": "busybox:1", "name": "web", **fields}
        started = await self.do(CreateContainer(engine=self.engine.ref, **fields))
        cursor = ""
        async with asyncio.timeout(60):
            while True:
                page = await self.do(ReadJob(engine=self.engine.ref, job=started.job, cursor=cursor, wait=1.0))
                cursor = page.cursor
                if page.outcome is not None:
                    found: Outcome = page.outcome
                    return found


@pytest.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    made = Daemon(tmp_path / "d.sock")
    made.say("GET /info", {"ID": "x", "Name": "host7", "ServerVersion": "28"})
    made.say("GET /images/busybox:1/json", {"Id": "sha256:" + "1" * 64})
    made.say("POST /containers/create", {"Id": NEW, "Warnings": []}, 201)
    made.say(f"POST /containers/{NEW}/start", status=204)
    made.say(f"DELETE /containers/{NEW}", status=204)
    made.say("GET /containers/json", [])
    async with serving(made.answer, made.path):
        yield made
        await made.engine.aclose()


async def test_an_image_that_is_there_is_not_pulled(daemon: Daemon) -> None:
    outcome = await daemon.run()
    assert (outcome.status, outcome.detail) == (Status.DONE, NEW[:12])
    assert not daemon.told("POST /images/create")
    (body,) = daemon.told("POST /containers/create?name=web")
    assert body["Image"] == "busybox:1" and body["Labels"] == {"quarterdeck.request": "t"}
    assert daemon.told(f"POST /containers/{NEW}/start")


async def test_create_does_not_start(daemon: Daemon) -> None:
    assert (await daemon.run(start=False)).status == Status.DONE
    assert not daemon.told(f"POST /containers/{NEW}/start")


async def test_an_image_that_cannot_be_pulled_leaves_nothing_behind(daemon: Daemon) -> None:
    daemon.say("POST /images/create", {"message": "manifest unknown"}, 404)
    outcome = await daemon.run(image="nope:1")
    assert outcome.status == Status.FAILED and "manifest unknown" in outcome.detail
    assert not daemon.told("POST /containers")
    daemon.silent.add("POST /images/create")
    outcome = await daemon.run(image="nope:1")
    assert outcome.status == Status.FAILED, "an image may be there now, and surely no container"
    assert not daemon.told("POST /containers")
    outcome = await daemon.run(image="nope:1", pull="never")
    assert outcome.status == Status.FAILED and "has no image nope:1" in outcome.detail


async def test_always_pulls(daemon: Daemon) -> None:
    daemon.say("POST /images/create", {"status": "Status: Image is up to date for busybox:1"})
    assert (await daemon.run(pull="always")).status == Status.DONE
    assert len(daemon.told("POST /images/create")) == 1


async def test_a_refused_creation_is_a_failure(daemon: Daemon) -> None:
    daemon.say("POST /containers/create", {"message": "the name web is in use"}, 409)
    outcome = await daemon.run()
    assert (outcome.status, "in use" in outcome.detail) == (Status.FAILED, True)


async def test_a_creation_without_an_answer_is_found_by_its_label(daemon: Daemon) -> None:
    daemon.silent.add("POST /containers/create")
    daemon.say(
        "GET /containers/json", [{"Id": "0" * 64, "Labels": {}}, {"Id": NEW, "Labels": {"quarterdeck.request": "t"}}]
    )
    outcome = await daemon.run()
    assert outcome.status == Status.DONE and "found by its label" in outcome.detail
    assert daemon.told(f"POST /containers/{NEW}/start")


async def test_a_creation_without_an_answer_that_is_not_found_is_unknown(daemon: Daemon) -> None:
    daemon.silent.add("POST /containers/create")
    outcome = await daemon.run()
    assert outcome.status == Status.UNKNOWN
    assert "ps -a --label quarterdeck.request=t" in outcome.detail
    assert len(daemon.told("POST /containers/create")) == 1, "it is never sent twice"
    daemon.silent.add("GET /containers/json")
    assert (await daemon.run()).status == Status.UNKNOWN


async def test_a_container_that_cannot_be_started_is_removed_again(daemon: Daemon) -> None:
    daemon.say(f"POST /containers/{NEW}/start", {"message": "port is already allocated"}, 500)
    outcome = await daemon.run()
    assert outcome.status == Status.FAILED
    assert outcome.detail == "port is already allocated. The container web was removed again."
    assert daemon.told(f"DELETE /containers/{NEW}")
    daemon.say(f"DELETE /containers/{NEW}", {"message": "busy"}, 500)
    assert "could not be removed again. Remove the container: rm web" in (await daemon.run()).detail


async def test_a_start_without_an_answer_is_unknown_and_nothing_is_removed(daemon: Daemon) -> None:
    daemon.silent.add(f"POST /containers/{NEW}/start")
    outcome = await daemon.run()
    assert outcome.status == Status.UNKNOWN and "The container web was created." in outcome.detail
    assert not daemon.told(f"DELETE /containers/{NEW}")


async def test_a_creation_that_is_stopped_is_unknown_and_names_its_label(daemon: Daemon) -> None:
    daemon.hang = "POST /containers/create"
    started = await daemon.do(CreateContainer(engine=daemon.engine.ref, image="busybox:1", name="web"))
    async with asyncio.timeout(60):
        while not daemon.told("POST /containers/create"):
            await asyncio.sleep(0.01)
    await daemon.do(StopJob(engine=daemon.engine.ref, job=started.job, who="t"))
    page = await daemon.do(ReadJob(engine=daemon.engine.ref, job=started.job, cursor="", wait=1.0))
    assert page.outcome is not None and page.outcome.status == Status.UNKNOWN
    assert page.outcome.detail == "was stopped. Look for it with: ps -a --label quarterdeck.request=t"


def mount(source: str) -> HostAccess:
    return HostAccess(mounts=(MountPoint(target="/x", source=source),))


async def test_a_volume_that_is_a_directory_of_the_host_is_refused(daemon: Daemon) -> None:
    daemon.say("GET /volumes/deep", {"Options": {"type": "none", "o": "bind", "device": "/etc"}})
    outcome = await daemon.run(access=mount("deep"))
    assert outcome.status == Status.FAILED and "the volume deep: it is the path /etc of the host." in outcome.detail
    daemon.say("GET /volumes/over", {"Options": {"type": "overlay", "o": "lowerdir=/etc:/x", "device": "overlay"}})
    outcome = await daemon.run(access=mount("over"))
    assert outcome.status == Status.FAILED and "the volume over: it is the path /etc of the host." in outcome.detail
    assert not daemon.told("POST /containers/create")
    daemon.say("GET /volumes/data", {"Options": None})
    assert (await daemon.run(access=mount("data"))).status == Status.DONE
    assert (await daemon.run(access=mount("not-yet-there"))).status == Status.DONE


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"quarterdeck.protected": "true"}, "a container that uses it is protected"),
        ({"org.opencontainers.image.title": "quarterdeck"}, "a container that uses it is a part of Quarterdeck"),
    ],
)
async def test_a_volume_of_quarterdeck_is_refused(daemon: Daemon, labels: dict[str, str], why: str) -> None:
    daemon.say("GET /volumes/state", {"Options": None})
    daemon.say("GET /containers/json", [{"Id": "0" * 64, "Labels": labels}])
    outcome = await daemon.run(access=mount("state"))
    assert outcome.status == Status.FAILED and why in outcome.detail
    assert not daemon.told("POST /containers/create")


async def test_a_volume_whose_users_are_not_known_is_refused(daemon: Daemon) -> None:
    daemon.say("GET /volumes/state", {"Options": None})
    daemon.say("GET /containers/json", [{"Id": "0" * 64, "Labels": 3}])
    outcome = await daemon.run(access=mount("state"))
    assert (
        outcome.status == Status.FAILED
        and "was not mounted. The engine's data about a container that uses it could not be decoded" in outcome.detail
    )
    assert not daemon.told("POST /containers/create")


async def test_the_hosts_network_under_its_id_is_refused(daemon: Daemon) -> None:
    daemon.say("GET /networks/4f2a", {"Driver": "host"})
    outcome = await daemon.run(network="4f2a")
    assert outcome.status == Status.FAILED and "Write: --network host" in outcome.detail
    daemon.say("GET /networks/front", {"Driver": "bridge"})
    assert (await daemon.run(network="front")).status == Status.DONE
    outcome = await daemon.run(network="gone")
    assert outcome.status == Status.FAILED and "has no network gone" in outcome.detail


@pytest.mark.parametrize("allow", [("container.create",), ("container.*",), ("container.create", "image.pull")])
async def test_each_step_must_be_allowed_by_the_owner(daemon: Daemon, allow: tuple[str, ...]) -> None:
    daemon.engine._allow = allow
    pull, start = "image.pull" in allow, "container.*" in allow
    with pytest.raises(errors.Disallowed):
        await daemon.do(CreateContainer(engine=daemon.engine.ref, image="busybox:1"))
    action = CreateContainer(
        engine=daemon.engine.ref, image="busybox:1", pull="missing" if pull else "never", start=start
    )
    daemon.engine._allow = (*allow, "job.*")
    assert (await daemon.do(action)).job
