"""Where the usage of Docker's containers is read from, and what is logged if that costs the daemon work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_usage import ReadUsage
from runtimes.transport import connect
from tests.helpers.prepared_daemon import PreparedDaemon

ENGINE = EngineRef(host="host7", kind="docker")
RUNNING = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="c" * 64, name="web")  # no cgroup of this machine has that name


async def logged(daemon: PreparedDaemon, times: int) -> Sequence[Mapping[str, Any]]:
    daemon.answers[f"/containers/{RUNNING.id}/stats"] = (200, b"{}")
    with capture_logs() as lines:
        for _ in range(times):
            await daemon.do(ReadUsage(engine=ENGINE, running=(RUNNING,)))
    return lines


async def test_a_container_without_the_hosts_cgroups_says_once_what_to_mount(
    daemon: PreparedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "in_container", lambda: True)
    assert await logged(daemon, 1) == []  # perhaps the container has just been started
    (line,) = await logged(daemon, 3)
    assert "Quarterdeck cannot see their control groups" in line["event"]
    assert "Mount /sys/fs/cgroup of the host read-only" in line["hint"]


async def test_on_a_host_there_is_nothing_to_mount(daemon: PreparedDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "in_container", lambda: False)
    assert await logged(daemon, 3) == []
