"""The causes of ends on live engines: what the list of events and the metrics say of them."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from core import metrics
from core.model import actions
from core.model.events import EventKind
from core.ports import Call
from runtimes.engine_registry import EngineAddress
from tests.helpers import hungry_container
from tests.helpers.watched_engine import WatchedEngine

pytestmark = pytest.mark.engine


class Watched(WatchedEngine):
    async def cause(self, name):
        """The attributes of the container's last end, when its cause is known."""

        def found():
            ends = [
                one for one in self.mirror.history.since(0) if one.kind is EventKind.DIED and one.subject.name == name
            ]
            return ends[-1].attrs if ends and "cause" in ends[-1].attrs else None

        await self.until(lambda: found() is not None)
        return found()

    def counted(self, cause):
        child = self.counts.container_ends_total.labels(*metrics.engine_labels(self.mirror.ref), cause)
        return child._value.get()

    async def do(self, kind, name, **more):
        target = self.row(name).ref
        call = Call(id="1", who="slack:T1/ADA", deadline=datetime.now(UTC) + timedelta(seconds=60), invocation="1")
        return await self.mirror.run(kind(engine=target.engine, target=target, **more), call)


async def test_docker_ends_have_their_causes(dockerd):
    async with Watched(EngineAddress(kind="docker", url=dockerd.url)) as engine:
        await asyncio.to_thread(dockerd.run, "crash", "sleep 0.2; exit 3", init=False)
        await asyncio.to_thread(dockerd.run, "done", "exit 0", init=False)
        limit = {"mem_limit": "16m", "memswap_limit": "16m"}
        await asyncio.to_thread(hungry_container.run, dockerd, "hog", init=False, host=limit)
        for name in ("stopped", "ours", "shot"):
            await asyncio.to_thread(dockerd.run, name)
            await engine.until(lambda name=name: engine.row(name) is not None and engine.row(name).state == "running")
        await asyncio.to_thread(dockerd.stop, "stopped")
        await engine.do(actions.Stop, "ours")
        os.kill(await asyncio.to_thread(lambda: dockerd.state("shot")["Pid"]), signal.SIGKILL)
        found = {
            name: (await engine.cause(name))["cause"] for name in ("crash", "done", "hog", "stopped", "ours", "shot")
        }
        assert found == {
            "crash": "crashed",
            "done": "finished",
            "hog": "out_of_memory",
            "stopped": "requested",
            "ours": "requested",
            "shot": "killed",
        }
        ours = await engine.cause("ours")
        assert ours["cause_by"] == "slack:T1/ADA" and "cause_by" not in await engine.cause("stopped")
        assert engine.counted("requested") == 2 and engine.counted("crashed") == 1


async def test_podman_ends_have_their_causes(podmand):
    async with Watched(EngineAddress(kind="podman", url=podmand.url)) as engine:
        await asyncio.to_thread(podmand.run, "crash", "sleep 0.2; exit 3", init=False)
        for name in ("stopped", "ours"):
            await asyncio.to_thread(podmand.run, name)
            await engine.until(lambda name=name: engine.row(name) is not None and engine.row(name).state == "running")
        await asyncio.to_thread(podmand.stop, "stopped")
        await engine.do(actions.Stop, "ours")
        found = {name: (await engine.cause(name))["cause"] for name in ("crash", "stopped", "ours")}
        assert found == {"crash": "crashed", "stopped": "requested", "ours": "requested"}
        assert (await engine.cause("ours"))["cause_by"] == "slack:T1/ADA"
