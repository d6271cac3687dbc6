"""Real engines that appear, stop and come back while the bot's pipeline runs: found, watched and listed without a
restart."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot import engine_manager
from core import errors, metrics, supervise
from core.model import actions
from core.ports import Call, Query
from runtimes import engine_discovery
from runtimes.swarm import membership_tracker
from tests.daemons.docker import private_dockerd
from tests.daemons.podman import private_podman
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.watch_records import WatchRecords

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def _soon(monkeypatch, short_tmp):
    monkeypatch.setattr(engine_manager, "DISCOVERY_SECONDS", 0.3)
    monkeypatch.setattr(engine_discovery, "DEFAULT_DOCKER_URL", f"unix://{short_tmp}/var/run/docker.sock")


def call(seconds=60.0):
    return Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="t")


class EventProcessor:
    """What `quarterdeck run` does with the engines of a machine whose files are under `root`."""

    def __init__(self, root, supervisor):
        self.root = root
        self.counts, self.cursors = metrics.Metrics(), WatchRecords()
        search = engine_discovery.Discovery({}, str(root))
        self.engines = engine_manager.EngineManager(
            builtin=FakeRuntime(kind="bot"),
            supervisor=supervisor,
            counts=self.counts,
            cursors=self.cursors,
            history=self.cursors,
            watch=True,
            discovery=search,
        )
        for address in search.look():
            self.engines.add(address)
        self.engines.keep_current()

    def link(self, path, socket):
        """Where a daemon of this machine would listen."""
        place = Path(f"{self.root}{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(socket)

    @property
    def live(self):
        return [mirror.ref.kind for mirror in self.engines.mirrors if mirror.live]

    async def until(self, true, seconds=90.0):
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.02)

    def page(self):
        return metrics.render(self.counts).decode()

    async def names(self):
        listed = await self.engines.fleet.list_rows(Query(), call())
        return sorted(row.ref.name for row in listed.rows)


@contextlib.asynccontextmanager
async def pipeline(root):
    async with supervise.Supervisor() as supervisor:
        yield EventProcessor(root, supervisor)


async def started(stack, daemon):
    """Starts a private daemon beside the loop; it ends with the test."""
    made = await asyncio.to_thread(daemon.__enter__)
    stack.push_async_callback(asyncio.to_thread, daemon.__exit__, None, None, None)
    return made


async def test_podman_and_docker_that_start_later_are_found_watched_and_listed(short_tmp):
    async with contextlib.AsyncExitStack() as stack, pipeline(short_tmp) as running:
        # Nothing is here: Docker is waited for.
        assert [ref.kind for ref in running.engines.refs] == ["docker"]
        podman = await started(stack, private_podman())
        running.link("/run/podman/podman.sock", podman.socket)
        await running.until(lambda: running.live == ["podman"])
        assert [ref.kind for ref in running.engines.refs] == ["podman"]
        await asyncio.to_thread(podman.run, "first")
        await running.until(lambda: "first" in [row.ref.name for row in running.engines.mirrors[0].containers.values()])
        dockerd = await started(stack, private_dockerd())
        running.link("/var/run/docker.sock", dockerd.socket)
        await running.until(lambda: sorted(running.live) == ["docker", "podman"])
        await asyncio.to_thread(dockerd.run, "second")
        await running.until(lambda: all(len(mirror.containers) == 1 for mirror in running.engines.mirrors))
        assert await running.names() == ["first", "second"]


async def test_a_docker_that_stops_is_down_and_comes_back_and_a_swarm_comes_and_goes_with_it(short_tmp, monkeypatch):
    monkeypatch.setattr(membership_tracker, "POLL_SECONDS", 3.0)
    async with contextlib.AsyncExitStack() as stack, pipeline(short_tmp) as running:
        dockerd = await started(stack, private_dockerd(host="m1"))
        running.link("/var/run/docker.sock", dockerd.socket)
        await running.until(lambda: running.live == ["docker"])
        (docker,) = running.engines.mirrors
        await asyncio.to_thread(dockerd.api.init_swarm, "127.0.0.1", "127.0.0.1:0")
        await running.until(lambda: sorted(running.live) == ["docker", "swarm"])
        swarm = running.engines.refs[1]
        await asyncio.to_thread(dockerd.api.leave_swarm, force=True)
        await running.until(lambda: running.engines.refs == (docker.ref,))
        with pytest.raises(errors.NotFound, match=f"Quarterdeck does not watch swarm/{swarm.host} now"):
            await running.engines.fleet.run(actions.ListServices(engine=swarm), call())
        # Its series go when its tasks have ended and its connections are closed.
        await running.until(lambda: f'host="{swarm.host}"' not in running.page())
        assert f'host="{docker.ref.host}"' in running.page()
        await asyncio.to_thread(dockerd.kill)
        await asyncio.to_thread(dockerd.socket.unlink, missing_ok=True)
        await running.until(lambda: running.live == [])
        await asyncio.sleep(2)
        assert running.engines.refs == (docker.ref,)
        listed = await running.engines.fleet.list_rows(Query(), call())
        assert list(listed.missing) == [docker.ref]
        await asyncio.to_thread(dockerd.start)
        await running.until(lambda: running.live == ["docker"])
        assert running.engines.mirrors == (docker,)
