"""The followed log of a Swarm service."""

from __future__ import annotations

import json
from typing import Any

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.swarm import ReadServiceLogs
from runtimes.base.jobs import Job
from runtimes.swarm.logs import ServiceLogs
from runtimes.transport.http_client import Response

WEB = Ref(engine=EngineRef(host="k1", kind="swarm"), kind=Kind.SERVICE, id="s1", name="web")


def frame(task: str, text: str) -> bytes:
    line = f"2026-11-24T17:18:59.000000000Z com.docker.swarm.task.id={task} {text}\n".encode()
    return b"\1\0\0\0" + len(line).to_bytes(4, "big") + line


class Managers:
    """Sends chunks of a log. The tasks can be listed once, before the service is removed."""

    status, cut = 200, False

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.listed = 0

    async def ask(self, *args: Any) -> Response:
        self.listed += 1
        if self.listed > 1:
            raise errors.NotFound("service s1 not found")
        return Response(status=200, headers={}, body=json.dumps([{"ID": "t1", "Slot": 1}]).encode())

    async def stream(self, *args: Any) -> Any:
        return self

    async def chunks(self) -> Any:
        for chunk in self._chunks:
            yield chunk

    async def aclose(self) -> None:
        """Does nothing."""


async def test_lines_of_a_new_task_of_a_service_that_is_removed_just_now_are_not_lost() -> None:
    managers = Managers(frame("t1", "one"), frame("t2-of-a-new-task", "two"), frame("t2-of-a-new-task", "three"))
    job = Job("j", "service.logs", "ann", read_only=True)
    logs = ServiceLogs(managers, ReadServiceLogs(engine=WEB.engine, target=WEB))  # type: ignore[arg-type]
    assert (await logs.follow(job)).status == Status.DONE
    page = await job.page("", 0.0)
    assert [line.text for line in page.lines] == ["web.1 | one", "web.t2-of-a-new- | two", "web.t2-of-a-new- | three"]
    assert managers.listed == 2
