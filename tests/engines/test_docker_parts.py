"""What only a real dockerd shows of its images, of exec, of use and of itself."""

import asyncio
import contextlib
import io
import os
import tarfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import errors
from core.model import actions, background_jobs, images, inside_containers, prune, resource_usage
from core.model.disk_use import ReadDiskUse
from core.model.refs import Kind, Ref
from core.model.removal_blockers import FindUsers
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from runtimes.kernel import cgroup_reader
from tests.daemons.docker import IMAGE, private_dockerd
from tests.daemons.registry import Narrow
from tests.helpers import servers


class Engine:
    def __init__(self, url):
        self.runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=url))

    @property
    def ref(self):
        return self.runtime.ref

    async def do(self, action, seconds=60.0):
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        return await self.runtime.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))

    async def outcome(self, action):
        job, cursor = (await self.do(action)).job, ""
        async with asyncio.timeout(60):
            while True:
                page = await self.do(background_jobs.ReadJob(engine=self.ref, job=job, cursor=cursor, wait=1.0))
                if page.outcome is not None:
                    return page.outcome
                cursor = page.cursor

    async def image(self, name):
        rows = (await self.do(images.ListImages(engine=self.ref))).rows
        return next(row for row in rows if name in row.tags)

    async def usages(self, *only):
        told = await self.do(resource_usage.ReadUsage(engine=self.ref, only=only))
        return {row.ref.name: row for row in told.rows}, told.missing


@contextlib.asynccontextmanager
async def engine_at(url):
    engine = Engine(url)
    await engine.do(actions.ListContainers(engine=engine.ref))
    try:
        yield engine
    finally:
        await engine.runtime.aclose()


@pytest.fixture
async def engine(dockerd):
    async with engine_at(dockerd.url) as made:
        yield made


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_name_that_means_another_image_by_now_is_neither_removed_nor_pushed(engine, registry):
    name = registry.push_busybox("moved")
    await engine.outcome(images.PullImage(engine=engine.ref, image=name))
    row = await engine.image(name)
    registry.push_busybox("moved", layers=[{"new": b"one"}])
    await engine.outcome(images.PullImage(engine=engine.ref, image=name))
    for action in (images.RemoveImage, images.PushImage):
        with pytest.raises(errors.NotFound, match="another image"):
            await engine.do(action(engine=engine.ref, target=row.ref))
    # The older one has no name any more and goes by its id.
    old = next(one for one in (await engine.do(images.ListImages(engine=engine.ref))).rows if one.ref.id == row.ref.id)
    assert old.tags == () and old.ref.id.startswith(f"sha256:{old.ref.name}")
    for target in (old.ref, (await engine.image(name)).ref):
        assert (await engine.do(images.RemoveImage(engine=engine.ref, target=target))).detail == "the image is gone"


async def test_an_image_that_is_used_is_not_removed_by_its_id_and_force_removes_what_stands(engine, dockerd, registry):
    name = registry.push_busybox("used")
    await engine.outcome(images.PullImage(engine=engine.ref, image=name))
    row = await engine.image(name)
    await engine.do(images.TagImage(engine=engine.ref, target=row.ref, tag=f"{registry.host}/used:2"))
    made = dockerd.api.create_container(name, ["/bin/sh"], name="stands")
    whole = Ref(engine=engine.ref, kind=Kind.IMAGE, id=row.ref.id, name=row.ref.id[7:19])
    with pytest.raises(errors.Rejected):
        await engine.do(images.RemoveImage(engine=engine.ref, target=whole))
    assert set((await engine.image(name)).tags) == {name, f"{registry.host}/used:2"}
    await engine.do(images.RemoveImage(engine=engine.ref, target=whole, force=True))
    assert name not in dockerd.names_of_images()
    dockerd.api.remove_container(made["Id"])


async def test_an_image_on_which_another_is_built_is_not_removed_by_its_id_and_the_other_is_named(engine, dockerd):
    base = IMAGE
    for name in ("parent", "grown"):
        made = dockerd.api.create_container(base, ["/bin/sh"])
        dockerd.api.commit(made["Id"], name, "1", changes=[f"ENV NAME={name}"])
        dockerd.api.remove_container(made["Id"])
        base = f"{name}:1"
    parent, grown = (await engine.image("parent:1")).ref, (await engine.image("grown:1")).ref
    whole = Ref(engine=engine.ref, kind=Kind.IMAGE, id=parent.id, name=parent.id[7:19])
    for force in (False, True):
        found = await engine.do(FindUsers(engine=engine.ref, resources=(whole,), force=force))
        assert [(use.user, use.forcible) for use in found.rows] == [(grown, False)]
        with pytest.raises(errors.Rejected, match="dependent child images"):
            await engine.do(images.RemoveImage(engine=engine.ref, target=whole, force=force))
    # By its name, it only loses the name.
    assert not (await engine.do(FindUsers(engine=engine.ref, resources=(parent,)))).rows
    await engine.do(images.RemoveImage(engine=engine.ref, target=parent))
    assert (await engine.do(images.RemoveImage(engine=engine.ref, target=grown))).detail == "the image is gone"
    assert dockerd.names_of_images().isdisjoint({"parent:1", "grown:1"})


@pytest.fixture
def build_daemon(dockerd):
    """Without a build cache and built images before and after."""

    def empty():
        dockerd.api.prune_builds(all=True)
        dockerd.api.prune_images({"dangling": True})

    empty()
    yield dockerd
    empty()


async def test_the_build_cache_is_measured_and_removed_but_not_what_is_used_later(engine, build_daemon):
    dockerd = build_daemon
    build(dockerd, "first")
    found = await engine.do(prune.FindUnused(engine=engine.ref, kinds=()))
    assert found.measured and sum(record.size for record in found.cache) > 0
    measured = (await engine.do(ReadDiskUse(engine=engine.ref, max_age=0.0))).build_cache
    assert measured and measured > 0
    await _next_second()
    size, before = measured, time.time()
    await _next_second()
    build(dockerd, "second")
    action = prune.PruneBuildCache(engine=engine.ref, cache_size=size, cache_used_before=before, whole_cache=True)
    outcome = await engine.outcome(action)
    assert outcome.status == Status.DONE and "of build cache" in outcome.detail, outcome
    left = (await engine.do(prune.FindUnused(engine=engine.ref, kinds=()))).cache
    assert left, "the second build's cache was used after the question"
    await _next_second()
    rest = prune.PruneSystem(engine=engine.ref, cache_size=size, cache_used_before=time.time() + 1, whole_cache=True)
    assert (await engine.outcome(rest)).status == Status.DONE
    assert not sum(record.size for record in (await engine.do(prune.FindUnused(engine=engine.ref, kinds=()))).cache)


async def _next_second():
    """Newer daemons count the age of the cache in whole seconds."""
    await asyncio.sleep(1 - time.time() % 1)


def build(dockerd, content):
    """Builds an image of one file with BuildKit, as `docker build` sends it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in (("Dockerfile", b"FROM scratch\nCOPY file /file\n"), ("file", content.encode() * 20_000)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    url = f"{dockerd.api.base_url}/v{dockerd.api._version}/build"
    answer = dockerd.api.post(
        url, params={"version": "2"}, data=packed.getvalue(), headers={"Content-Type": "application/x-tar"}
    )
    assert answer.status_code == 200 and '"errorDetail"' not in answer.text, answer.text


@pytest.mark.parametrize(
    ("given", "reach"),
    [
        ({"MaskedPaths": [], "ReadonlyPaths": []}, "changes its security by systempaths=unconfined"),
        ({"DeviceCgroupRules": ["b *:* rwm"]}, "uses the device b *:* rwm of the host"),
    ],
)
async def test_what_a_container_takes_from_its_host_is_found(engine, dockerd, given, reach):
    host = dockerd.api.create_host_config() | given
    made = dockerd.api.create_container(IMAGE, ["/bin/sh"], name="reaching", host_config=host)
    try:
        target = Ref(engine=engine.ref, kind=Kind.CONTAINER, id=made["Id"], name="reaching")
        assert (await engine.do(actions.InspectContainer(engine=engine.ref, target=target))).reaches == (reach,)
    finally:
        dockerd.api.remove_container(made["Id"])


async def test_a_push_that_is_not_let_in_is_a_failure_with_its_cure(engine, locked_registry):
    source = await engine.image(IMAGE)
    name = f"{locked_registry.host}/mine:1"
    await engine.do(images.TagImage(engine=engine.ref, target=source.ref, tag=name))
    target = Ref(engine=engine.ref, kind=Kind.IMAGE, id=source.ref.id, name=name)
    outcome = await engine.outcome(images.PushImage(engine=engine.ref, target=target))
    assert outcome.status == Status.FAILED
    assert "no basic auth credentials" in outcome.detail and "login" in outcome.detail
    await engine.do(images.RemoveImage(engine=engine.ref, target=target))
    nameless = Ref(engine=engine.ref, kind=Kind.IMAGE, id=source.ref.id, name=f"x@sha256:{'0' * 64}")
    with pytest.raises(errors.BadUsage, match="tag"):
        await engine.do(images.PushImage(engine=engine.ref, target=nameless))


async def test_a_layer_that_the_registry_has_lost_is_a_failure_in_the_stream(engine, registry):
    before = set(registry.blobs())
    registry.push_busybox("broken", layers=[{"big": os.urandom(3_000_000)}])
    [blob for blob in registry.blobs() if blob not in before][-1].unlink()
    outcome = await engine.outcome(images.PullImage(engine=engine.ref, image=f"{registry.host}/broken:1"))
    assert outcome.status == Status.FAILED
    assert "blob" in outcome.detail


async def test_a_daemon_that_dies_during_a_pull_leaves_it_unknown(own_dockerd, registry):
    registry.push_busybox("lost", layers=[{"big": bytes(range(256)) * 20_000}])
    async with Narrow(registry, 10_000) as narrow, engine_at(own_dockerd.url) as engine:
        pull = images.PullImage(engine=engine.ref, image=f"{narrow.host}/lost:1")
        started = await engine.do(pull)
        await asyncio.wait_for(narrow.held.wait(), 60)
        await asyncio.to_thread(own_dockerd.kill)
        page = await engine.do(background_jobs.ReadJob(engine=engine.ref, job=started.job, cursor="0/99", wait=10.0))
        while page.outcome is None:
            page = await engine.do(
                background_jobs.ReadJob(engine=engine.ref, job=started.job, cursor=page.cursor, wait=10.0)
            )
    assert page.outcome.status == Status.UNKNOWN


# ── exec ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_exec_as_a_user_and_as_one_that_is_not_there(engine, dockerd):
    dockerd.run("it")
    target = next(row.ref for row in (await engine.do(actions.ListContainers(engine=engine.ref))).rows)

    def run(user, *command):
        return engine.do(inside_containers.Exec(engine=engine.ref, target=target, command=command, user=user))

    assert (await run("1234", "sh", "-c", "echo $(busybox id -u)")).stdout == "1234\n"
    # Newer daemons refuse the user themselves; older ones let the OCI runtime fail.
    try:
        nobody = await run("nosuch", "true")
    except errors.Rejected as error:
        assert "nosuch" in error.text
    else:
        assert nobody.exit_code == 126 and "nosuch" in nobody.stdout + nobody.stderr
    dockerd.pause("it")
    with pytest.raises(errors.Rejected, match="paused"):
        await run("", "true")


async def test_a_container_that_dies_under_a_program_ends_it(engine, dockerd):
    dockerd.run("it")
    target = next(row.ref for row in (await engine.do(actions.ListContainers(engine=engine.ref))).rows)
    task = asyncio.create_task(
        engine.do(inside_containers.Exec(engine=engine.ref, target=target, command=("sleep", "300")))
    )
    while not any(len(process) for process in dockerd.api.inspect_container("it")["ExecIDs"] or ()):
        await asyncio.sleep(0.02)
    await asyncio.to_thread(dockerd.api.kill, "it")
    assert (await asyncio.wait_for(task, 60)).exit_code != 0


# ── use ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_kernel_and_the_daemon_tell_the_same(engine, dockerd, monkeypatch):
    dockerd.network("qd-use")
    talker = "echo hi | busybox nc -w 1 10.255.255.1 9 2>/dev/null; while :; do :; done"
    dockerd.run("busy", talker, host={"mem_limit": 32 << 20, "network_mode": "qd-use"})
    dockerd.run("host", host={"network_mode": "host"})
    kernel, missing = await engine.usages()
    assert missing == ""
    # As when the daemon is another machine's.
    monkeypatch.setattr(type(engine.runtime), "_may_be_local", lambda self: False)
    async with engine_at(dockerd.url) as far:
        told, missing = await far.usages()
        again, _ = await far.usages("busy")
    assert missing == "" and set(kernel) == set(told) == {"busy", "host"}
    assert again == {}  # `only` takes ids
    for here, there in ((kernel[name], told[name]) for name in kernel):
        assert here.memory_limit == there.memory_limit
        assert abs(here.memory - there.memory) < 4 << 20
        assert here.cpu_seconds <= there.cpu_seconds
        assert (here.network_received is None) == (there.network_received is None)
        assert here.processes >= 1 and there.processes >= 1
    assert kernel["busy"].memory_limit == 32 << 20
    assert kernel["host"].network_received is None
    assert kernel["busy"].network_received is not None
    assert told["busy"].cpu_percent > told["host"].cpu_percent


async def test_a_container_that_is_started_again_is_read_anew(engine, dockerd):
    dockerd.run("it")
    first, _ = await engine.usages()
    dockerd.api.restart("it", timeout=0)
    second, missing = await engine.usages()
    assert missing == "" and second["it"].ref == first["it"].ref
    dockerd.api.rename("it", "that")
    assert set((await engine.usages())[0]) == {"that"}


async def test_readings_keep_no_file_of_what_is_gone(engine, dockerd):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(4):
        dockerd.run(f"c{number}")
    await engine.usages()
    held = len(list(Path("/proc/self/fd").iterdir()))
    assert held > before
    await engine.runtime.aclose()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert cgroup_reader.DESCRIPTORS.take(1)
    cgroup_reader.DESCRIPTORS.release(1)


async def test_a_daemon_that_answers_some_tells_of_those(dockerd, short_tmp, monkeypatch):
    """A proxy that never answers one container's question: the others are told, and how many are missing."""
    slow = dockerd.run("slow")
    dockerd.run("quick")

    async def serve(reader, writer):
        far_reader, far_writer = await asyncio.open_unix_connection(str(dockerd.socket))
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if f"{slow}/stats".encode() in head:
                    await reader.read()
                    return
                far_writer.write(head)
                answer = await far_reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                if b"chunked" in answer.lower():
                    while (size := await far_reader.readuntil(b"\r\n")) != b"0\r\n":
                        writer.write(size + await far_reader.readexactly(int(size, 16) + 2))
                    writer.write(size + await far_reader.readexactly(2))
                else:
                    length = next(int(line.split(b":")[1]) for line in answer.splitlines() if b"Length:" in line)
                    writer.write(await far_reader.readexactly(length))
                await writer.drain()
        finally:
            far_writer.close()

    async with servers.serving(serve, short_tmp / "p.sock"), engine_at(f"unix://{short_tmp}/p.sock") as engine:
        monkeypatch.setattr(type(engine.runtime), "_may_be_local", lambda self: False)
        told = await engine.do(resource_usage.ReadUsage(engine=engine.ref), seconds=12)
    assert {row.ref.name for row in told.rows} == {"quick"}
    assert told.missing.startswith("1 of 2")


# ── itself ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_it_tells_of_itself(engine, dockerd):
    told = await engine.do(actions.DescribeEngine(engine=engine.ref))
    assert told.runtime.startswith("runc 1.")
    assert (told.events, told.user) == ("ring of 256", "")
    document = await engine.do(actions.ShowInfo(engine=engine.ref))
    assert document.ref.kind is Kind.ENGINE
    assert document.data["ServerVersion"] == dockerd.version()
    assert document.data["Version"]["Components"]
    with pytest.raises(errors.Unsupported, match="inspect NAME"):
        target = Ref(engine=engine.ref, kind=Kind.CONTAINER, id="x", name="x")
        await engine.do(actions.CheckHealth(engine=engine.ref, target=target))


async def test_proxies_passwords_are_hidden_and_live_restore_is_noted(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with private_dockerd("--live-restore") as daemon:
        async with engine_at(daemon.url) as engine:
            document = await engine.do(actions.ShowInfo(engine=engine.ref))
            told = await engine.do(actions.DescribeEngine(engine=engine.ref))
    assert "hunter2" not in repr(document.data)
    assert "127.0.0.1:9" in document.data["HttpsProxy"]
    assert any("live-restore" in note for note in told.notes)


async def test_a_container_keeps_the_name_of_its_image_when_the_tag_moves(dockerd, engine):
    dockerd.api.tag(IMAGE, "localhost/shop/web", "1")
    made = dockerd.api.create_container("localhost/shop/web:1", ["/bin/sleep", "3600"], name="web")
    dockerd.api.start(made["Id"])
    changed = dockerd.api.commit(made["Id"], repository="localhost/shop/web", tag="1")
    try:
        assert changed["Id"] != dockerd.api.inspect_container("web")["Image"]
        (listed,) = dockerd.api.containers()
        assert listed["Image"].startswith("sha256:")  # what Docker's own list shows
        for _ in range(2):
            (row,) = (await engine.do(actions.ListContainers(engine=engine.ref))).rows
            assert row.image == "localhost/shop/web:1"
    finally:
        dockerd.api.remove_container("web", force=True)
        dockerd.api.remove_image("localhost/shop/web:1", force=True)
