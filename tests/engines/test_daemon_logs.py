"""What Quarterdeck asks an engine for, always and by ordinary commands, is no error in that daemon's own log."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions, containers, event_actions, images, networks_and_volumes, pods
from core.model.resource_usage import ReadUsage
from core.ports import Call
from runtimes.engine_registry import EngineAddress
from runtimes.swarm import membership_tracker
from tests.helpers.watched_engine import WatchedEngine

pytestmark = pytest.mark.engine
ERROR = re.compile(r"level=(?:error|fatal|panic)|\bpanic:")
READS = (
    actions.ListContainers,
    actions.DescribeEngine,
    actions.ShowInfo,
    actions.ListServices,
    images.ListImages,
    networks_and_volumes.ListNetworks,
    networks_and_volumes.ListVolumes,
    networks_and_volumes.ListNamespaces,
    pods.ListPods,
    ReadUsage,
)


async def do(runtime, action):
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    with contextlib.suppress(errors.Unsupported):  # no engine can do everything
        return await runtime.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))


@pytest.mark.parametrize("fixture", ["dockerd", "podmand", "containerdd"])
async def test_watching_and_ordinary_commands_cause_no_error_in_a_daemons_log(request, fixture):
    daemon = request.getfixturevalue(fixture)
    await asyncio.to_thread(daemon.run, "web", "trap 'exit 0' TERM; while true; do sleep 0.1; done")
    await asyncio.to_thread(daemon.run, "deaf", "exec sleep 3600", init=False)
    before = len((daemon.root / "log").read_bytes())
    async with WatchedEngine(EngineAddress(kind=daemon.kind, url=daemon.url)) as watched:
        runtime = watched.runtime
        if daemon.kind == "docker":
            tracker = membership_tracker.MembershipTracker(lambda swarm: None, lambda swarm: None)
            tracker.add(runtime)
            for _ in range(3):
                await tracker.poll(10.0)
        for kind in READS:
            await do(runtime, kind(engine=runtime.ref))
        await do(runtime, event_actions.ListEvents(engine=runtime.ref, since_ns=1))
        for _ in range(2):
            target = next(row.ref for row in watched.mirror.containers.values() if row.ref.name == "web")
            await do(runtime, actions.InspectContainer(engine=runtime.ref, target=target))
            await do(runtime, actions.ReadLogs(engine=runtime.ref, target=target, tail=10))
            await do(runtime, actions.Stop(engine=runtime.ref, target=target))
            await watched.until(lambda: watched.row("web").state not in containers.LIVE_STATES)
            await do(runtime, actions.Start(engine=runtime.ref, target=target))
            await watched.until(lambda: watched.row("web").state == "running")
            await do(runtime, actions.Restart(engine=runtime.ref, target=target))
            await watched.until(lambda: watched.row("web").state == "running")
        await runtime.describe([target.id], 10.0)
        deaf = watched.row("deaf").ref
        killed = await do(runtime, actions.Stop(engine=runtime.ref, target=deaf, timeout=1))
        assert killed.killed == ("deaf",), "a first process ignores TERM"
        await watched.until(lambda: watched.row("deaf").state not in containers.LIVE_STATES)
    told = (daemon.root / "log").read_bytes()[before:].decode("utf-8", "replace")
    assert [line for line in told.splitlines() if ERROR.search(line)] == []
