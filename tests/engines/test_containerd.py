"""Tests with a real containerd: a killed and a hung daemon, OOM kills, a closed socket, and namespaces of other
engines."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import errors
from core.model import actions, background_jobs, images, inside_containers, networks_and_volumes
from core.model.events import EventKind
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.resource_usage import ReadUsage
from core.ports import Call
from runtimes import engine_registry
from runtimes.base.engine_options import EngineOptions
from runtimes.containerd.engine import Containerd
from tests.daemons.containerd import containerd_version, private_containerd
from tests.daemons.registry import PASSWORD, USER, private_registry
from tests.daemons.sshd import Authority
from tests.helpers import hungry_container
from tests.helpers.waiting import hang, wait_for
from tests.helpers.watched_engine import WatchedEngine

SANDBOX = {"io.cri-containerd.kind": "sandbox"}


class Engine:
    def __init__(self, daemon, **more):
        self.daemon = daemon
        self.runtime = Containerd(daemon.url, EngineOptions(**more))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.runtime.aclose()

    async def do(self, kind, seconds=60.0, **fields):
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        call = Call(id="t", who="t", deadline=deadline, invocation="t")
        return await self.runtime.run(kind(engine=self.runtime.ref, **fields), call)

    async def rows(self, **more):
        return {row.ref.id: row for row in (await self.do(actions.ListContainers, **more)).rows}

    def ref(self, thing, name=""):
        kind = Kind.IMAGE if "sha256" in thing else Kind.CONTAINER
        return Ref(engine=self.runtime.ref, kind=kind, id=thing, name=name or thing.partition("/")[2])


def eye(daemon):
    return WatchedEngine(engine_registry.EngineAddress(kind="containerd", url=daemon.url))


async def test_a_daemon_killed_and_back_is_heard_again_at_once_and_what_ended_meanwhile_is_known(own_containerd):
    daemon = own_containerd
    async with eye(daemon) as seen:
        for name in ("web", "goes"):
            await asyncio.to_thread(daemon.run, name)
        await seen.until(lambda: all((row := seen.row(n)) and row.state == "running" for n in ("web", "goes")))
        process = int(daemon.started("goes"))
        began = seen.row("web").started_at
        await asyncio.to_thread(daemon.kill)
        await seen.until(lambda: not seen.mirror.live)
        os.kill(process, signal.SIGKILL)
        await asyncio.to_thread(daemon.start)
        back = time.monotonic()
        await seen.until(lambda: seen.mirror.live)
        assert time.monotonic() - back < 40  # two seconds, on a machine that does nothing else
        await seen.until(lambda: seen.row("goes").state == "exited")
        # From 1.7 on a starting daemon deletes such a task, and nobody can read its exit code any more.
        assert seen.row("goes").exit_code == (137 if daemon.status("goes") == "exited" else None)
        assert seen.kinds("goes").count(EventKind.DIED) == 1
        # The other one has not noticed.
        assert (seen.row("web").state, seen.row("web").started_at) == ("running", began)
        assert EventKind.DIED not in seen.kinds("web")
        await asyncio.to_thread(daemon.run, "later")
        await seen.until(lambda: seen.row("later") is not None)


async def test_a_container_out_of_memory_is_known_as_such_and_told_once(containerdd):
    async with eye(containerdd) as seen:
        limit = ("--memory-limit", str(32 << 20))  # newer versions of runc need 13 MiB to start a container
        await asyncio.to_thread(hungry_container.run, containerdd, "hungry", init=False, more=limit)
        await seen.until(lambda: (row := seen.row("hungry")) is not None and row.state == "exited" and row.oom_killed)
        assert seen.row("hungry").exit_code == 137
        assert seen.kinds("hungry").count(EventKind.OOM) == 1


async def test_a_name_may_be_given_again(containerdd):
    async with eye(containerdd) as seen:
        await asyncio.to_thread(containerdd.run, "again", "exit 3")
        await seen.until(lambda: (row := seen.row("again")) is not None and row.exit_code == 3)
        await asyncio.to_thread(containerdd.remove, "again")
        await seen.until(lambda: seen.row("again") is None)
        await asyncio.to_thread(containerdd.run, "again")
        await seen.until(lambda: (row := seen.row("again")) is not None and row.state == "running")
        assert seen.row("again").exit_code is None
        assert seen.mirror.live


async def test_a_task_that_is_taken_away_leaves_what_was_seen_of_its_end(containerdd):
    async with eye(containerdd) as seen:
        await asyncio.to_thread(containerdd.run, "done", "exit 4")
        await seen.until(lambda: (row := seen.row("done")) is not None and row.state == "exited")
        await asyncio.to_thread(containerdd.ctr, "tasks", "delete", "done")
        found = await seen.runtime.describe([f"{containerdd.space}/done"], 60)
        row = found[f"{containerdd.space}/done"]
        assert (row.state, row.exit_code) == ("exited", 4)


async def test_every_namespace_is_told_of_and_those_of_other_engines_are_counted(containerdd):
    containerdd.load_image("moby", "k8s.io", "dev")
    containerdd.run("web")
    containerdd.run("qd-dev", space="dev", start=False)
    containerdd.run("qd-docker", space="moby", start=False)
    containerdd.run("qd-kube", space="k8s.io", start=False, labels={"io.kubernetes.container.name": "api"})
    containerdd.run("qd-pause", space="k8s.io", start=False, labels=SANDBOX)
    async with Engine(containerdd) as alone:
        found = await alone.rows()
        assert set(found) == {f"{containerdd.space}/web", "dev/qd-dev", "moby/qd-docker", "k8s.io/qd-kube"}
        assert found["k8s.io/qd-kube"].ref.name == "api"
        assert found["dev/qd-dev"].labels["containerd.namespace"] == "dev"
        spaces = {one.name: one for one in (await alone.do(networks_and_volumes.ListNamespaces)).rows}
        assert (spaces["moby"].owner, spaces["k8s.io"].owner, spaces["dev"].owner) == ("docker", "cri", "")
        assert (spaces["k8s.io"].containers, spaces["dev"].containers, spaces["dev"].images) == (1, 1, 1)
        for thing in ("k8s.io/qd-kube", "moby/qd-docker"):
            with pytest.raises(errors.Rejected, match="only (Docker|Kubernetes) can start it"):
                await alone.do(actions.Start, target=alone.ref(thing))
            with pytest.raises(errors.Rejected, match="add the engine of kind (docker|cri) to"):
                await alone.do(actions.Remove, target=alone.ref(thing))
        assert {row.labels["containerd.namespace"] for row in (await alone.do(images.ListImages)).rows} == {
            "moby", "k8s.io", "dev", containerdd.space
        }  # fmt: skip
    async with Engine(containerdd, watched_kinds=frozenset({"docker", "cri"})) as beside:
        assert set(await beside.rows()) == {f"{containerdd.space}/web", "dev/qd-dev"}
        told = await beside.do(actions.DescribeEngine)
        assert told.owned == (("cri", 1), ("docker", 1))
        assert (told.containers, told.running) == (2, 1)
        assert {row.labels["containerd.namespace"] for row in (await beside.do(images.ListImages)).rows} == {
            "dev", containerdd.space
        }  # fmt: skip


async def test_events_of_other_engines_and_of_pause_containers_are_not_told(containerdd):
    containerdd.load_image("moby", "k8s.io")
    seen = []
    async with Engine(containerdd, watched_kinds=frozenset({"docker"})) as engine:
        stream = engine.runtime.events(None)
        assert await anext(stream) == ()

        async def listen():
            async for batch in stream:
                seen.extend(batch)

        task = asyncio.create_task(listen())

        def make():
            containerdd.run("qd-docker", space="moby", start=False)
            containerdd.run("qd-pause", space="k8s.io", start=False, labels=SANDBOX)
            containerdd.run("qd-kube", space="k8s.io", start=False, labels={"io.kubernetes.container.name": "api"})
            containerdd.run("last", start=False)

        await asyncio.to_thread(make)
        async with asyncio.timeout(60):
            while "last" not in {event.subject.name for event in seen}:
                await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    containers = [event.subject.name for event in seen if event.type == "container"]
    assert containers == ["api", "last"]


async def test_who_may_not_use_the_socket_is_told_which_setting_would_help(own_containerd):
    own_containerd.root.chmod(0o711)
    own_containerd.socket.chmod(0o660)
    async with Engine(own_containerd) as engine:
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(65534)
        os.seteuid(65534)
        try:
            with pytest.raises(errors.Unreachable) as caught:
                await engine.rows()
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
        assert not caught.value.sent
        assert str(own_containerd.socket) in caught.value.message
        assert "gid" in caught.value.hint and "config.toml" in caught.value.hint
        assert await engine.rows() == {}


async def test_a_daemon_that_hangs_costs_its_deadline_and_no_change_is_said_to_have_left(own_containerd):
    own_containerd.run("web")
    async with Engine(own_containerd) as engine:
        assert len(await engine.rows()) == 1
        target = engine.ref(f"{own_containerd.space}/web")
        hang(own_containerd.process.pid)
        try:
            began = time.monotonic()
            with pytest.raises(errors.TimedOut):
                await engine.rows(seconds=0.5)
            with pytest.raises(errors.TimedOut) as caught:
                await engine.do(actions.Stop, seconds=0.5, target=target)
            assert not caught.value.sent
            told = await engine.do(actions.DescribeEngine, seconds=0.5)
            assert "did not answer" in told.fault
            async with Engine(own_containerd) as stranger:
                with pytest.raises(errors.TimedOut):
                    await stranger.rows(seconds=0.5)
            assert time.monotonic() - began < 25  # the deadlines are two seconds in all
        finally:
            own_containerd.process.send_signal(signal.SIGCONT)
        assert (await engine.rows())[target.id].state == "running"


async def test_a_daemon_killed_in_the_middle_of_a_change_leaves_it_unknown(own_containerd):
    script = "trap ': > /dev/asked' TERM; : > /dev/ready; while :; do sleep 0.05; done"
    own_containerd.run("slow", script, init=False)

    def has(file):
        """Whether the script has come so far."""
        words = ("tasks", "exec", "--exec-id", f"x{os.urandom(6).hex()}", "slow", "/bin/sh", "-c")
        return "yes" in own_containerd.ctr(*words, f"test -e {file} && echo yes", check=False)

    await asyncio.to_thread(wait_for, "the trap", lambda: has("/dev/ready"))
    async with Engine(own_containerd) as engine:
        target = engine.ref(f"{own_containerd.space}/slow")
        task = asyncio.create_task(engine.do(actions.Stop, target=target, timeout=20))
        await asyncio.to_thread(wait_for, "the signal", lambda: has("/dev/asked"))
        await asyncio.to_thread(own_containerd.kill)
        with pytest.raises(errors.Unreachable) as caught:
            await task
        assert caught.value.sent
        with pytest.raises(errors.Unreachable) as caught:
            await engine.rows()
        assert "no engine listens" in caught.value.full_message() or "lost" in caught.value.full_message()
        await asyncio.to_thread(own_containerd.start)
        assert (await engine.rows())[target.id].state == "running"


async def test_hostile_labels_and_words_are_only_text(containerdd):
    labels = {
        "nerdctl/name": "a\x1b[31m`rm -rf /`<!channel>" + "x" * 200,
        "nerdctl/ports": "[[[",
        "containerd.io/restart.count": "-1e9",
        "containerd.namespace": "moby",
        "ä/☃": "\u202e\u0000"[:1],
    }
    containerdd.run("it", labels=labels, environment={"SECRET": "hunter2"})
    async with Engine(containerdd) as engine:
        (row,) = (await engine.rows()).values()
        assert row.ref.name == labels["nerdctl/name"]
        assert (row.restarts, row.ports, row.labels["containerd.namespace"]) == (0, (), containerdd.space)
        document = await engine.do(actions.InspectContainer, target=row.ref)
        assert "hunter2" not in repr(document.data)
        assert document.data["spec"]["process"]["args"]
        ran = await engine.do(inside_containers.Exec, target=row.ref, command=("sh", "-c", "echo $SECRET"))
        assert (ran.exit_code, ran.stdout) == (0, "hunter2\n")
        with pytest.raises(errors.BadUsage, match="numbers"):
            await engine.do(inside_containers.Exec, target=row.ref, command=("true",), user="nobody")
        assert (
            await engine.do(inside_containers.Exec, target=row.ref, command=("busybox", "id", "-u"), user="12:13")
        ).stdout == "12\n"
        with pytest.raises(errors.BadUsage):
            await engine.do(actions.Kill, target=row.ref, signal="NOT")
        for thing in ("it", "/it", "moby/it", f"{containerdd.space}/../it", f"{containerdd.space}/"):
            with pytest.raises((errors.NotFound, errors.Rejected)):
                await engine.do(actions.Stop, target=engine.ref(thing, "it"))


async def test_a_thousand_events_come_in_order_and_none_is_lost(containerdd, record_property):
    seen = []
    async with Engine(containerdd) as engine:
        stream = engine.runtime.events(None)
        assert await anext(stream) == ()

        async def listen():
            async for batch in stream:
                seen.extend(event for event in batch if event.type == "namespace")

        task = asyncio.create_task(listen())
        began = time.monotonic()

        def make():
            import grpc
            from google.protobuf import any_pb2, empty_pb2

            from runtimes.proto import containerd_events_pb2, containerd_types_pb2  # noqa: F401

            # As containerd's own publisher would: topic and event, in a message of two fields.
            with grpc.insecure_channel(
                f"unix:{containerdd.socket}", options=(("grpc.default_authority", "localhost"),)
            ) as channel:
                publish = channel.unary_unary(
                    "/containerd.services.events.v1.Events/Publish",
                    request_serializer=lambda told: (
                        b"\x0a" + bytes([len(told[0])]) + told[0].encode() + b"\x12" + bytes([len(told[1])]) + told[1]
                    ),
                    response_deserializer=empty_pb2.Empty.FromString,
                )
                for number in range(1000):
                    event = containerd_events_pb2.NamespaceUpdate(name=f"n{number}")
                    packed = any_pb2.Any(type_url="containerd.events.NamespaceUpdate", value=event.SerializeToString())
                    told = ("/namespaces/update", packed.SerializeToString())
                    publish(told, metadata=(("containerd-namespace", containerdd.space),), timeout=60)

        await asyncio.to_thread(make)
        async with asyncio.timeout(60):
            while len(seen) < 1000:
                await asyncio.sleep(0.01)
        record_property("containerd: 1,000 events published and heard, seconds", round(time.monotonic() - began, 2))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [event.subject.name for event in seen] == [f"n{number}" for number in range(1000)]


async def test_a_stopped_container_with_a_terminal_starts_again(containerdd):
    containerdd.run("term", tty=True, start=False)
    async with Engine(containerdd) as engine:
        target = engine.ref(f"{containerdd.space}/term")
        for _ in range(2):
            assert (await engine.do(actions.Start, target=target)).status == Status.DONE
            assert containerdd.status("term") == "running"
            ran = await engine.do(inside_containers.Exec, target=target, command=("echo", "hello"))
            assert (ran.exit_code, ran.stdout) == (0, "hello\n")
            containerdd.stop("term")


async def test_one_that_cannot_start_can_be_tried_again(containerdd):
    containerdd.ctr("containers", "create", "--", "localhost/busybox:1", "broken", "/no-such-program")
    async with Engine(containerdd) as engine:
        target = engine.ref(f"{containerdd.space}/broken")
        for _ in range(2):
            with pytest.raises(errors.Rejected, match="no-such-program"):
                await engine.do(actions.Start, target=target)
        assert containerdd.task("broken") == ("", "")
        assert (await engine.do(actions.Remove, target=target)).status == Status.DONE


async def test_what_containerd_would_start_again_stays_stopped(containerdd):
    containerdd.run("watched", labels={"containerd.io/restart.status": "running"})
    async with Engine(containerdd) as engine:
        target = engine.ref(f"{containerdd.space}/watched")
        await engine.do(actions.Stop, target=target)
        labels = json.loads(containerdd.ctr("containers", "info", "watched"))["Labels"]
        assert labels["containerd.io/restart.explicitly-stopped"] == "true"
        await engine.do(actions.Start, target=target)
        labels = json.loads(containerdd.ctr("containers", "info", "watched"))["Labels"]
        assert labels["containerd.io/restart.explicitly-stopped"] == "false"


async def test_a_paused_container_hears_that_it_is_to_stop(containerdd):
    containerdd.run("it")
    containerdd.pause("it")
    async with Engine(containerdd) as engine:
        outcome = await engine.do(actions.Stop, target=engine.ref(f"{containerdd.space}/it"), timeout=60)
        assert (outcome.status, outcome.detail) == (Status.DONE, "")
        assert containerdd.status("it") == "exited"


async def test_one_that_hears_no_signal_is_killed_in_the_end(containerdd):
    containerdd.run("deaf", "trap '' TERM; while :; do sleep 0.1; done", init=False)
    async with Engine(containerdd) as engine:
        await asyncio.sleep(0.3)
        outcome = await engine.do(actions.Stop, target=engine.ref(f"{containerdd.space}/deaf"), timeout=1)
        assert outcome.detail == "did not end within 1 s and was killed"
        assert (await engine.rows())[f"{containerdd.space}/deaf"].exit_code == 137


async def test_images_are_told_tagged_and_removed_but_not_from_under_a_container(containerdd):
    containerdd.load_image("pictures")
    containerdd.run("web", space="pictures", start=False)
    async with Engine(containerdd) as engine:

        async def row():
            rows = (await engine.do(images.ListImages)).rows
            return next((one for one in rows if one.labels["containerd.namespace"] == "pictures"), None)

        found = await row()
        assert (found.tags, found.containers, found.labels["made"]) == (("localhost/busybox:1",), 1, "here")
        assert found.size > 500_000 and found.created_at == 1704164645.0
        document = await engine.do(images.InspectImage, target=found.ref)
        assert "hunter2" not in repr(document.data) and "SECRET_OF_IMAGE" in repr(document.data)
        assert (await engine.do(images.TagImage, target=found.ref, tag="other:2")).detail == "docker.io/library/other:2"
        assert (await engine.do(images.TagImage, target=found.ref, tag="other:2")).status == Status.NOOP
        assert (await row()).tags == ("docker.io/library/other:2", "localhost/busybox:1")
        with pytest.raises(errors.Rejected, match="used by web"):
            await engine.do(images.RemoveImage, target=found.ref)
        other = engine.ref(found.ref.id, "docker.io/library/other:2")
        assert (await engine.do(images.RemoveImage, target=other)).detail == "still exists as localhost/busybox:1"
        assert (await engine.do(images.RemoveImage, target=found.ref, force=True)).status == Status.DONE
        assert await row() is None
        with pytest.raises(errors.NotFound):
            await engine.do(images.RemoveImage, target=found.ref)
        with pytest.raises(errors.NotFound):
            await engine.do(images.InspectImage, target=found.ref)


async def test_a_daemon_that_leaves_fetching_images_to_its_clients_says_so(containerdd):
    async with Engine(containerdd) as engine:
        if "image.pull" in (await engine.do(actions.DescribeEngine)).verbs:
            assert not containerdd.version().startswith("1.6")
            return
        with pytest.raises(errors.Unsupported, match="ctr images pull"):
            await engine.do(images.PullImage, image="localhost/nothing:1")


async def test_an_image_behind_a_login_is_pulled_when_the_daemon_asks_for_it(tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))  # the daemon trusts it
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    async def pulled(engine, name, password):
        entry = {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}
        (tmp_path / "config.json").write_text(json.dumps({"auths": {name.partition("/")[0]: entry}}))
        started = await engine.do(images.PullImage, image=name)
        page = None
        async with asyncio.timeout(60):
            while page is None or page.outcome is None:
                page = await engine.do(
                    background_jobs.ReadJob, job=started.job, cursor=page.cursor if page else "", wait=1.0
                )
        return page.outcome

    with (
        private_registry(locked=True, tls=authority.sign("registry", alt="IP:127.0.0.1")) as registry,
        private_containerd() as daemon,
    ):
        name = registry.push_busybox("asked-for")
        async with Engine(daemon) as engine:
            outcome = await pulled(engine, name, "not-harbour")
            assert outcome.status == Status.FAILED and f"The registry refused the login of {USER}" in outcome.detail
            outcome = await pulled(engine, name, PASSWORD)
            assert outcome.status == Status.DONE and "sha256:" in outcome.detail, outcome


if containerd_version() < (1, 7):  # an older daemon leaves fetching images to its clients, as a test above shows
    del test_an_image_behind_a_login_is_pulled_when_the_daemon_asks_for_it


async def test_info_tells_what_the_daemon_is_made_of(containerdd):
    async with Engine(containerdd) as engine:
        told = await engine.do(actions.ShowInfo)
        assert told.data["Version"] == containerdd.version()
        assert {"overlayfs", "native"} <= {plugin["id"] for plugin in told.data["Plugins"]}
        assert containerdd.space in {space["name"] for space in told.data["Namespaces"]}


async def test_in_another_pid_namespace_use_comes_from_the_daemon_and_no_process_is_taken_for_another():
    with private_containerd(apart=True) as daemon:
        daemon.run("busy", "while :; do :; done")
        async with Engine(daemon) as engine:
            (row,) = (await engine.rows()).values()
            assert (row.state, row.started_at, row.status) == ("running", None, "Up")
            async with asyncio.timeout(60):  # a busy machine may not run the container between two readings
                while True:
                    (usage,) = (await engine.do(ReadUsage)).rows
                    if usage.cpu_percent > 0:
                        break
            assert usage.cpu_seconds > 0
            assert usage.memory > 10_000
            assert usage.processes >= 1


def test_nothing_of_a_private_daemon_stays_behind():
    """The suite must clean up, since others run the same engine on this machine."""
    with private_containerd() as daemon:
        daemon.run("web")
        process = int(daemon.started("web"))
        root, space = daemon.root, daemon.space
        daemon.kill()
    wait_for("the container to be gone", lambda: not _alive(process))
    assert not root.exists()
    assert str(root) not in Path("/proc/mounts").read_text()
    assert not Path(f"/run/containerd/runc/{space}").exists()


def _alive(process):
    with contextlib.suppress(OSError):
        return os.kill(process, 0) is None
    return False
