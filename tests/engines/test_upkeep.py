"""What the recurring readings of live engines show on the metrics page: resources, disk use and a Swarm; and that
several processes measure an engine once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from collectors.data_filesystem_reader import DataFilesystemReader
from collectors.disk_use_reader import DiskUseReader
from collectors.exposition import Exposition
from collectors.resource_counter import ResourceCounter
from collectors.systemd_unit_reader import SystemdUnitReader
from core import metrics
from core.model.disk_use import ReadDiskUse
from core.store.client import Store
from runtimes.engine_registry import EngineAddress
from runtimes.inventory.mirror import Mirror
from tests.daemons.swarm import Opened, private_swarm, three_managers
from tests.helpers.watched_engine import WatchedEngine

pytestmark = pytest.mark.engine


@pytest.fixture
async def store(valkey):
    made = Store.open(valkey.url)
    yield made
    await made.aclose()


def shown(mirror, family, *parts):
    """The value of the one series of a family whose labels have these parts; None without one."""
    page = Exposition(metrics.Metrics(), lambda: [mirror]).render().decode()
    lines = [line for line in page.splitlines() if line.startswith(f"quarterdeck_{family}{{")]
    found = [line for line in lines if all(part in line for part in parts)]
    assert len(found) <= 1, found
    return float(found[0].rsplit(" ", 1)[1]) if found else None


async def read_all(mirror, store):
    """One run of each reading, as the schedule makes them. Returns what failed."""
    rounds = [
        await DiskUseReader(lambda: [mirror], store, replica="r1").run(),
        await ResourceCounter(lambda: [mirror]).run(),
    ]
    roots = DataFilesystemReader(lambda: [mirror])
    rounds += [await roots.run(), await SystemdUnitReader(lambda: [mirror]).run()]
    roots.close()
    return [fault for each in rounds for fault in each.faults]


async def test_the_resources_of_docker_are_on_the_page(dockerd, store):
    await asyncio.to_thread(dockerd.api.prune_images, {"dangling": True})  # those of other tests
    async with WatchedEngine(EngineAddress(kind="docker", url=dockerd.url)) as engine:
        before = await read_all(engine.mirror, store)
        assert before == []
        images, networks = shown(engine.mirror, "images"), shown(engine.mirror, "networks")
        await asyncio.to_thread(dockerd.volume, "spare")
        await asyncio.to_thread(dockerd.network, "lonely")
        engine.mirror.resources.counts_at = 0.0
        await ResourceCounter(lambda: [engine.mirror]).run()
        assert images >= 1 and shown(engine.mirror, "images") == images
        assert shown(engine.mirror, "dangling_images") == 0
        assert shown(engine.mirror, "volumes") == 1
        assert shown(engine.mirror, "networks") == networks + 1
        assert shown(engine.mirror, "images_size_bytes") > 100_000
        assert shown(engine.mirror, "build_cache_size_bytes") == 0
        assert shown(engine.mirror, "containers_written_size_bytes") == 0
        assert shown(engine.mirror, "data_root_size_bytes") >= shown(engine.mirror, "data_root_free_bytes") > 0
        assert shown(engine.mirror, "unit_state") is None
        assert shown(engine.mirror, "swarm_service_replicas_desired") is None


async def test_the_resources_of_podman_are_on_the_page(podmand, store):
    # Podman 4 does not tell the size of images that share layers, and other tests may have built such images.
    await asyncio.to_thread(podmand.keep_base_image_only)
    await asyncio.to_thread(podmand.volume, "spare")
    async with WatchedEngine(EngineAddress(kind="podman", url=podmand.url)) as engine:
        assert await read_all(engine.mirror, store) == []
        assert shown(engine.mirror, "images") >= 1 and shown(engine.mirror, "volumes") == 1
        assert shown(engine.mirror, "unused_volumes") == 1
        assert shown(engine.mirror, "volumes_size_bytes") >= 0
        assert shown(engine.mirror, "images_size_bytes") > 100_000
        assert shown(engine.mirror, "build_cache_size_bytes") is None
        assert shown(engine.mirror, "data_root_size_bytes") > 0


async def test_the_resources_of_containerd_are_on_the_page(containerdd, store):
    async with WatchedEngine(EngineAddress(kind="containerd", url=containerdd.url)) as engine:
        assert await read_all(engine.mirror, store) == []
        assert shown(engine.mirror, "images") >= 1
        assert shown(engine.mirror, "images_size_bytes") > 100_000
        assert shown(engine.mirror, "volumes") is None and shown(engine.mirror, "networks") is None
        assert shown(engine.mirror, "data_root_size_bytes") > 0


async def test_the_resources_of_a_cri_engine_are_on_the_page(crid, store):
    async with WatchedEngine(EngineAddress(kind="cri", url=crid.url)) as engine:
        assert await read_all(engine.mirror, store) == []
        assert shown(engine.mirror, "images") >= 1
        assert shown(engine.mirror, "data_root_size_bytes") > 0


async def test_an_oci_engine_has_none_of_them(ocid, store):
    async with WatchedEngine(EngineAddress(kind="oci", url=ocid.url)) as engine:
        assert await read_all(engine.mirror, store) == []
        for family in ("images", "volumes", "networks", "images_size_bytes", "data_root_size_bytes"):
            assert shown(engine.mirror, family) is None


async def test_several_processes_measure_one_docker_once(dockerd, store, monkeypatch):
    asked = 0
    async with contextlib.AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(WatchedEngine(EngineAddress(kind="docker", url=dockerd.url)))
            for _ in range(3)
        ]
        for engine in engines:
            run = engine.runtime.run

            async def counted(action, call, run=run):
                nonlocal asked
                asked += isinstance(action, ReadDiskUse)
                return await run(action, call)

            monkeypatch.setattr(engine.runtime, "run", counted)
        readers = [
            DiskUseReader(lambda mirror=engine.mirror: [mirror], store, replica=f"r{number}")
            for number, engine in enumerate(engines)
        ]
        for _ in range(2):
            rounds = await asyncio.gather(*(reader.run() for reader in readers))
            assert [each.faults for each in rounds] == [(), (), ()]
        assert asked == 1
        sizes = {shown(engine.mirror, "images_size_bytes") for engine in engines}
        assert len(sizes) == 1 and None not in sizes


async def test_the_services_and_nodes_of_a_swarm_are_on_the_page():
    with private_swarm() as cluster:
        opened = await Opened(cluster.daemon).meet()
        try:
            async with followed(opened.swarm) as mirror:
                assert shown(mirror, "swarm_node_state", 'state="ready"') == 1
                assert shown(mirror, "swarm_node_availability", 'availability="active"') == 1
                assert shown(mirror, "swarm_node_manager_reachability", 'reachability="reachable"') == 1
                assert shown(mirror, "swarm_node_leader") == 1
                assert shown(mirror, "swarm_node_info", 'role="manager"') == 1
                cluster.serve("web", replicas=2, labels={"com.docker.stack.namespace": "shop"})
                cluster.serve("stuck", replicas=1, constraints=["node.labels.none==here"])
                web, stuck = 'service="web"', 'service="stuck"'
                await until(lambda: shown(mirror, "swarm_service_replicas_running", web) == 2)
                assert shown(mirror, "swarm_service_replicas_desired", web) == 2
                assert shown(mirror, "swarm_service_info", web, 'mode="replicated"', 'stack="shop"') == 1
                assert shown(mirror, "swarm_service_update_state", web, 'state="updating"') is None
                assert shown(mirror, "swarm_service_replicas_desired", stuck) == 1
                assert shown(mirror, "swarm_service_replicas_running", stuck) == 0
                cluster.api.remove_service("stuck")
                await until(lambda: shown(mirror, "swarm_service_replicas_desired", stuck) is None)
        finally:
            await opened.aclose()


async def test_a_rollout_that_stopped_and_a_manager_that_is_lost_are_on_the_page():
    with three_managers() as cluster:
        opened = await Opened(*cluster.daemons).meet()
        try:
            async with followed(opened.swarm) as mirror:
                cluster.serve("web", replicas=1)
                web, lost = 'service="web"', 'node="m3"'
                await until(lambda: shown(mirror, "swarm_service_replicas_running", web) == 1)
                assert shown(mirror, "swarm_node_manager_reachability", lost, 'reachability="reachable"') == 1
                assert sum(shown(mirror, "swarm_node_leader", f'node="{name}"') for name in ("m1", "m2", "m3")) == 1
                before = cluster.api.inspect_service("web")
                spec = before["Spec"]
                spec["TaskTemplate"]["ContainerSpec"]["Image"] = "localhost/nothing-there:1"
                cluster.api.update_service(
                    before["ID"],
                    before["Version"]["Index"],
                    task_template=spec["TaskTemplate"],
                    name="web",
                    mode=spec["Mode"],
                )
                paused = (web, 'state="paused"')
                await until(lambda: shown(mirror, "swarm_service_update_state", *paused) == 1)
                assert shown(mirror, "swarm_service_update_state", web, 'state="updating"') == 0
                await asyncio.to_thread(cluster.daemons[2].kill)
                unreachable = (lost, 'reachability="unreachable"')
                await until(lambda: shown(mirror, "swarm_node_manager_reachability", *unreachable) == 1)
                await until(lambda: shown(mirror, "swarm_node_state", lost, 'state="down"') == 1)
                assert shown(mirror, "swarm_node_state", lost, 'state="ready"') == 0
        finally:
            await opened.aclose()


@contextlib.asynccontextmanager
async def followed(swarm):
    """The mirror of a Swarm whose stream is read: its watcher polls only while somebody reads."""
    mirror = Mirror(swarm)
    assert shown(mirror, "swarm_node_leader") is None, "nothing is known before the first contact"
    stream = mirror.events(None)
    await anext(stream)

    async def drain():
        async for _ in stream:
            pass

    following = asyncio.create_task(drain())
    try:
        yield mirror
        assert not following.done()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def until(true):
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.05)


async def test_a_measurement_of_a_daemon_that_was_stopped_is_no_fault_of_the_others(own_dockerd, podmand, store):
    docker, podman = (
        EngineAddress(kind="docker", url=own_dockerd.url),
        EngineAddress(kind="podman", url=podmand.url),
    )
    async with WatchedEngine(docker) as first, WatchedEngine(podman) as second:
        await asyncio.to_thread(own_dockerd.kill)
        reader = DiskUseReader(lambda: [first.mirror, second.mirror], store, replica="r1")
        done = await reader.run()
        assert len(done.faults) <= 1
        assert shown(first.mirror, "images_size_bytes") is None
        # Not the size of images: Podman 4.3 reports none if they share layers, as those of other tests may.
        assert shown(second.mirror, "containers_written_size_bytes") is not None
