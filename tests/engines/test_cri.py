"""Tests with containerd's CRI plugin, as a kubelet uses it: a killed and a hung daemon, OOM kills, rotated logs,
pods."""

import asyncio
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import errors
from core.model import actions, background_jobs, images, pods
from core.model.events import EventKind, Origin
from core.model.refs import Kind
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from runtimes.proto import cri_pb2 as cri
from tests.daemons.containerd import containerd_version
from tests.daemons.docker import IMAGE
from tests.helpers import hungry_container
from tests.helpers.waiting import hang
from tests.helpers.watched_engine import WatchedEngine
from tests.standins.proto import kubelet_pb2 as kubelet


@pytest.fixture
async def engine(crid):
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=crid.url))
    yield runtime
    await runtime.aclose()


async def do(runtime, action, seconds=60.0):
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    return await runtime.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))


async def rows(runtime):
    return {row.ref.name: row for row in (await do(runtime, actions.ListContainers(engine=runtime.ref))).rows}


async def test_memory_that_ran_out_is_known_as_such(crid):
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=crid.url)) as eye:
        await asyncio.to_thread(hungry_container.run, crid, "hungry", init=False, memory=32 << 20)
        await eye.until(lambda: (row := eye.row(crid.called("hungry"))) is not None and row.state == "exited")
        assert eye.row(crid.called("hungry")).oom_killed
        assert eye.row(crid.called("hungry")).exit_code == 137
        kinds = eye.kinds(crid.called("hungry"))
        assert [kind for kind in kinds if kind in (EventKind.OOM, EventKind.DIED)] == [EventKind.OOM, EventKind.DIED]


async def test_an_engine_killed_and_back_is_watched_again_and_what_ended_meanwhile_is_told(own_crid):
    await asyncio.to_thread(own_crid.run, "stays")
    await asyncio.to_thread(own_crid.run, "ends", "while [ ! -e /go ]; do sleep 0.05; done; exit 4")
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=own_crid.url)) as eye:
        assert eye.row(own_crid.called("ends")).state == "running"
        await asyncio.to_thread(own_crid.kill)
        await eye.until(lambda: not eye.mirror.live)
        told = await do(eye.runtime, actions.DescribeEngine(engine=eye.runtime.ref), 5)
        assert told.fault and told.containers is None
        with pytest.raises(errors.Unreachable) as caught:
            await do(eye.runtime, actions.Stop(engine=eye.runtime.ref, target=eye.row(own_crid.called("ends")).ref), 5)
        assert not caught.value.sent and caught.value.hint
        # Its processes live on without it.
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and b"/go ]" in _command(entry):
                (entry / "root/go").touch()
        await asyncio.to_thread(own_crid.start)
        await eye.until(lambda: (row := eye.row(own_crid.called("ends"))) is not None and row.state == "exited")
        # How it ended the engine may have missed itself: it then says 255.
        code = await asyncio.to_thread(lambda: own_crid.kubelet.container_status(own_crid.id("ends")).exit_code)
        assert eye.row(own_crid.called("ends")).exit_code == code and code in (4, 255)
        assert eye.row(own_crid.called("stays")).state == "running"
        assert eye.kinds(own_crid.called("ends")).count(EventKind.DIED) == 1
        assert EventKind.DIED not in eye.kinds(own_crid.called("stays"))


def _command(entry):
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


async def test_an_engine_that_hangs_costs_its_deadline_and_no_more(own_crid):
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_crid.url))
    await rows(runtime)
    hang(own_crid.process.pid)
    try:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(errors.TimedOut):
            await do(runtime, actions.ListContainers(engine=runtime.ref), 1)
        told = await do(runtime, actions.DescribeEngine(engine=runtime.ref), 1)
        assert "did not answer" in told.fault
        assert loop.time() - began < 30  # the deadlines are two seconds in all
    finally:
        own_crid.process.send_signal(signal.SIGCONT)
    assert await rows(runtime) == {}
    await runtime.aclose()


async def test_a_socket_of_another_user_says_what_gives_it(own_crid):
    own_crid.socket.chmod(0o660)
    own_crid.root.chmod(0o755)
    script = (
        "import asyncio, os\n"
        "from datetime import UTC, datetime, timedelta\n"
        "from core import errors\n"
        "from core.model import actions\n"
        "from core.ports import Call\n"
        "from runtimes import engine_registry as registry\n"
        "from runtimes.transport import grpc_channel\n"
        "import runtimes.cri.engine, socket, encodings.idna\n"
        "async def main():\n"
        f"    runtime = registry.open_engine(registry.EngineAddress(kind='cri', url='{own_crid.url}'))\n"
        "    call = Call(id='t', who='t', deadline=datetime.now(UTC) + timedelta(seconds=9), invocation='t')\n"
        "    grpc_channel.library()\n"
        "    os.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "    try:\n"
        "        await runtime.run(actions.ListContainers(engine=runtime.ref), call)\n"
        "    except errors.Unreachable as error:\n"
        "        print(error.full_message())\n"
        "    await runtime.aclose()\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert "may use the engine socket" in done.stdout, done.stdout + done.stderr
    assert "gid = " in done.stdout


async def test_one_without_the_plugin_says_how_it_is_turned_on(own_containerd):
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_containerd.url))
    told = await do(runtime, actions.DescribeEngine(engine=runtime.ref), 5)
    assert "does not support CRI v1" in told.fault and "disabled_plugins" in told.fault
    with pytest.raises(errors.Unreachable):
        await rows(runtime)
    await runtime.aclose()


async def test_a_log_moved_aside_is_read_on_without_losing_a_line(crid, engine):
    await asyncio.to_thread(
        crid.run, "it", "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exec sleep 3600"
    )
    target = (await rows(engine))[crid.called("it")].ref
    ask = {"engine": engine.ref, "target": target}
    job = (await do(engine, actions.ReadLogs(**ask, tail=1000, follow=True))).job
    pages, cursor, log = [], "", crid.log("it")
    while not pages or pages[-1] != "line 399":
        page = await do(engine, actions.ReadLogs(**ask, tail=1000, cursor=cursor))
        cursor = page.cursor
        pages += [line.text for line in page.lines]
        if len(pages) > 80 and not list(log.parent.glob("0.log.*")):
            log.rename(log.with_name("0.log.20260101-000000"))
            reopen = kubelet.ReopenContainerLogRequest(container_id=target.id)
            await asyncio.to_thread(crid.kubelet.ask, "ReopenContainerLog", reopen)
        await asyncio.sleep(0.05)
    whole = [f"line {number}" for number in range(400)]
    assert pages == whole
    assert list(log.parent.glob("0.log.*"))
    assert [line.text for line in (await do(engine, actions.ReadLogs(**ask, tail=1000))).lines] == whole
    followed, at = [], ""
    async with asyncio.timeout(60):
        while len(followed) < 400:
            told = await do(engine, background_jobs.ReadJob(engine=engine.ref, job=job, cursor=at, wait=1.0))
            at = told.cursor
            followed += [line.text for line in told.lines]
    assert followed == whole


async def test_a_container_made_anew_takes_its_name_from_the_one_before(crid, engine):
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=crid.url)) as eye:
        pod = await asyncio.to_thread(crid.kubelet.pod, "web-0", "shop", labels={"app": "web"})
        first = await asyncio.to_thread(crid.kubelet.container, pod, "app", ["/bin/sh", "-c", "exit 1"])
        await eye.until(lambda: (row := eye.row("shop/web-0/app")) is not None and row.state == "exited")
        second = await asyncio.to_thread(
            crid.kubelet.container, pod, "app", ["/bin/sleep", "3600"], attempt=1, annotations={"n": "1"}
        )
        await eye.until(lambda: (row := eye.row("shop/web-0/app")) is not None and row.state == "running")
        assert eye.row("shop/web-0/app").ref.id == second
        assert eye.row("shop/web-0/app").restarts == 1
        old = f"shop/web-0/app.{first[:8]}"
        await eye.until(lambda: eye.row(old) is not None)
        assert (eye.row(old).ref.id, eye.row(old).exit_code) == (first, 1)
        assert EventKind.RENAMED in eye.kinds(old)
        assert eye.row(old).labels["app"] == "web"
    assert set(await rows(engine)) == {"shop/web-0/app", old}


async def test_what_happened_before_is_told_by_what_is_still_there(crid, engine):
    await asyncio.to_thread(crid.run, "it", "exit 3")
    await asyncio.to_thread(crid.wait, "it")
    stream = engine.events(1)
    assert await anext(stream) == ()
    batch = await anext(stream)
    await stream.aclose()
    assert [event.kind for event in batch] == [EventKind.CREATED, EventKind.STARTED, EventKind.DIED]
    assert {event.origin for event in batch} == {Origin.REPLAY}
    assert {event.subject.name for event in batch} == {crid.called("it")}


async def test_pods_are_told_stopped_and_removed_with_all_that_is_in_them(crid, engine):
    pod = await asyncio.to_thread(crid.kubelet.pod, "web-0", "shop", labels={"app": "web"})
    app = await asyncio.to_thread(crid.kubelet.container, pod, "app", ["/bin/sleep", "3600"])
    await asyncio.to_thread(crid.kubelet.container, pod, "side", ["/bin/sleep", "3600"], start=False)
    (row,) = (await do(engine, pods.ListPods(engine=engine.ref))).rows
    assert (row.ref.kind, row.ref.name, row.state, row.namespace) == (Kind.POD, "shop/web-0", "ready", "shop")
    assert (len(row.members), row.running, row.labels["app"]) == (2, 1, "web")
    assert row.address.startswith("10.")
    document = await do(engine, pods.InspectPod(engine=engine.ref, target=row.ref))
    assert document.data["metadata"]["name"] == "web-0"
    remove = pods.RemovePod(engine=engine.ref, target=row.ref)
    with pytest.raises(errors.Rejected, match="is running"):
        await do(engine, remove)
    stopped = await do(engine, pods.StopPod(engine=engine.ref, target=row.ref, timeout=1))
    # The first process of a container ignores the signal unless it asks for it.
    assert stopped.status == Status.DONE
    assert stopped.detail.startswith("shop/web-0/app did not end in time and was killed")
    assert (await do(engine, pods.StopPod(engine=engine.ref, target=row.ref))).status == Status.NOOP
    assert crid.kubelet.container_status(app).state == 2
    (row,) = (await do(engine, pods.ListPods(engine=engine.ref))).rows
    assert (row.state, row.running, row.address) == ("notready", 0, "")
    assert (await do(engine, remove)).status == Status.DONE
    assert not (await do(engine, pods.ListPods(engine=engine.ref))).rows
    assert not await rows(engine)
    with pytest.raises(errors.NotFound, match="has no pod shop/web-0"):
        await do(engine, remove)
    with pytest.raises(errors.NotFound):
        await do(engine, pods.StopPod(engine=engine.ref, target=row.ref))
    other = await asyncio.to_thread(crid.kubelet.pod, "web-1", "shop")
    await asyncio.to_thread(crid.kubelet.container, other, "app", ["/bin/sleep", "3600"])
    (row,) = (await do(engine, pods.ListPods(engine=engine.ref))).rows
    assert (await do(engine, pods.RemovePod(engine=engine.ref, target=row.ref, force=True))).status == Status.DONE
    assert not await rows(engine)


async def test_what_ended_is_not_started_again_and_the_kubelet_is_named(crid, engine):
    await asyncio.to_thread(crid.run, "it", "exit 0")
    await asyncio.to_thread(crid.wait, "it")
    target = (await rows(engine))[crid.called("it")].ref
    with pytest.raises(errors.Rejected, match="the kubelet creates a new one"):
        await do(engine, actions.Start(engine=engine.ref, target=target))
    await asyncio.to_thread(crid.run, "up")
    target = (await rows(engine))[crid.called("up")].ref
    with pytest.raises(errors.Unsupported, match="The kubelet then starts a new one"):
        await do(engine, actions.Restart(engine=engine.ref, target=target))
    stopped = await do(engine, actions.Stop(engine=engine.ref, target=target, timeout=1))
    assert "kubelet" in stopped.detail


async def test_a_tag_goes_with_all_the_others_and_the_outcome_says_so(own_crid):
    crid = own_crid
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=crid.url))
    ctr = ["ctr", "-a", crid.socket, "-n", "k8s.io", "images", "tag", IMAGE, "localhost/other:2"]
    await asyncio.to_thread(subprocess.run, ctr, check=True, capture_output=True)

    async def named():
        told = await do(engine, images.ListImages(engine=engine.ref))
        return {tag: row for row in told.rows for tag in row.tags}

    async with asyncio.timeout(60):
        while "localhost/other:2" not in await named():
            await asyncio.sleep(0.05)
    found = await named()
    assert found[IMAGE].ref == found["localhost/other:2"].ref
    outcome = await do(engine, images.RemoveImage(engine=engine.ref, target=found[IMAGE].ref))
    other = next(tag for tag in (IMAGE, "localhost/other:2") if tag != found[IMAGE].ref.name)
    assert (outcome.status, other in outcome.detail) == (Status.DONE, True)
    assert not {IMAGE, "localhost/other:2"} & set(await named())
    await engine.aclose()


async def test_words_of_strangers_stay_words(crid, engine):
    text = "<!channel> `rm -rf` \\033[31mred"
    pod = await asyncio.to_thread(crid.kubelet.pod, "p", labels={"evil": "<!channel>", "quarterdeck.protected": "true"})
    script = f"printf '{text}\\n'; printf '\\377\\376\\n'; printf 'x stdout F y\\n'; exec sleep 3600"
    await asyncio.to_thread(crid.kubelet.container, pod, "app", ["/bin/sh", "-c", script])
    row = (await rows(engine))["default/p/app"]
    assert row.labels["evil"] == "<!channel>"
    assert row.facts(None).protected
    lines = ()
    async with asyncio.timeout(60):
        while len(lines) < 3:
            lines = (await do(engine, actions.ReadLogs(engine=engine.ref, target=row.ref))).lines
    assert [line.text for line in lines][1:] == ["\ufffd\ufffd", "x stdout F y"]
    assert lines[0].text.startswith("<!channel> `rm -rf`")
    assert {line.stream for line in lines} == {"stdout"}


async def test_an_engine_tells_all_of_itself_without_secrets(crid, engine):
    told = await do(engine, actions.DescribeEngine(engine=engine.ref))
    # 1.7 would take events away from the kubelet; from 2.0 on every listener gets them.
    way = "polled" if containerd_version() < (2, 0) else "broadcast"
    assert (told.api, told.events, told.runtime, told.storage) == ("v1", way, "runc", "overlayfs")
    assert told.notes == ()
    info = (await do(engine, actions.ShowInfo(engine=engine.ref))).data
    assert info["runtime_name"] == "containerd"
    assert info["info"]["config"]["containerd"]["defaultRuntimeName"] == "runc"
    assert ("cgroup_driver" in info) == (containerd_version() >= (2, 0))


async def test_a_log_nobody_keeps_is_said_to_be_none(crid, engine):
    request = kubelet.RunPodSandboxRequest(
        config=kubelet.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name="mute", uid="u", namespace="default"),
            linux=kubelet.LinuxPodSandboxConfig(
                cgroup_parent=crid.cgroup,
                security_context=kubelet.LinuxSandboxSecurityContext(
                    namespace_options=kubelet.NamespaceOption(network=2, pid=1)
                ),
            ),
        )
    )
    made = await asyncio.to_thread(crid.kubelet.ask, "RunPodSandbox", request, kubelet.RunPodSandboxResponse)
    create = kubelet.CreateContainerRequest(
        pod_sandbox_id=made.pod_sandbox_id,
        sandbox_config=request.config,
        config=kubelet.ContainerConfig(
            metadata=cri.ContainerMetadata(name="app"),
            image=cri.ImageSpec(image=IMAGE, user_specified_image=IMAGE),
            command=["/bin/sleep", "3600"],
        ),
    )
    container = await asyncio.to_thread(crid.kubelet.ask, "CreateContainer", create, kubelet.CreateContainerResponse)
    start = cri.StartContainerRequest(container_id=container.container_id)
    await asyncio.to_thread(crid.kubelet.ask, "StartContainer", start)
    row = (await rows(engine))["default/mute/app"]
    with pytest.raises(errors.NotFound, match="has no log directory"):
        await do(engine, actions.ReadLogs(engine=engine.ref, target=row.ref))


def test_nothing_of_the_private_engine_is_left_behind(tmp_path):
    from tests.daemons.cri import private_crid

    with private_crid() as daemon:
        daemon.run("it")
        root, bridge, cgroup = daemon.root, daemon.bridge, daemon.cgroup
        assert f"{root}/" in Path("/proc/mounts").read_text()
    assert not root.exists()
    assert f"{root}/" not in Path("/proc/mounts").read_text()
    assert not Path(f"/sys/class/net/{bridge}").exists()
    assert not [entry for entry in Path("/proc").iterdir() if f"{root}/".encode() in _command(entry)]
    assert not list(Path("/sys/fs/cgroup").glob(f"*{cgroup}"))
