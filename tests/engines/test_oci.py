"""Tests with real containers of runc and crun: ends and OOM kills as they happen, hundreds of state files, state
directories of other engines, and directories, files and programs that are hostile, not readable or gone."""

import asyncio
import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from core import errors, untrusted_files
from core.model import actions, inside_containers
from core.model.events import EventKind
from core.model.replies import Status
from runtimes.base import engine_options
from runtimes.kernel import inotify, procfs
from runtimes.oci import engine, events
from tests.contract.grounds import Ground
from tests.contract.test_runtime_contract import Hearing
from tests.daemons.oci import private_oci
from tests.daemons.podman import private_podman
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for
from tests.helpers.watched_engine import WatchedEngine


@contextlib.asynccontextmanager
async def opened(url, **more):
    runtime = engine.Oci(url, engine_options.EngineOptions(**more))
    yield Ground(runtime, None)
    await runtime.aclose()


@pytest.fixture
async def ground(ocid):
    async with opened(ocid.url) as made:
        made.daemon = ocid
        yield made


def kinds(heard, container):
    return [event.kind for event in heard.events if event.subject.id == container]


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_process_killed_from_outside_is_seen_at_once(ground, record_property, monkeypatch):
    monkeypatch.setattr(events, "POLL_SECONDS", 3600.0)  # only the kernel's notice is left
    container = ground.daemon.run("it")
    async with Hearing(ground) as heard:
        pid = ground.daemon.pid("it")
        killed = time.time_ns()
        os.kill(pid, signal.SIGKILL)
        died = await heard.of(EventKind.DIED, container)
        late = (time.time_ns() - killed) / 1e6
        record_property("the death of a process, seen by oci", f"{late:.1f} ms after its SIGKILL")
        assert killed <= died.at_ns <= time.time_ns()
        # The kernel reports the code from Linux 6.15 on, if the parent of the process waits for it.
        assert died.attrs in ({}, {"exit_code": "137"})
        (row,) = (await ground.rows()).values()
        code = int(died.attrs["exit_code"]) if died.attrs else None
        assert (row.state, row.exit_code, row.finished_at) == ("exited", code, died.at_ns / 1e9)
        begin = f"Exited {f'({code}) ' if code is not None else ''}"
        assert row.status.startswith(begin)
        assert re.fullmatch(r"(Less than a second|\d+ seconds?|About a minute) ago", row.status.removeprefix(begin))


async def test_everything_a_container_goes_through_is_told_in_order(ground):
    async with Hearing(ground) as heard:
        container = await asyncio.to_thread(ground.daemon.run, "it", start=False)
        await heard.of(EventKind.CREATED, container)
        target = await ground.ref("it")
        await ground.do(actions.Start(engine=ground.runtime.ref, target=target))
        await heard.of(EventKind.STARTED, container)
        await ground.do(actions.Pause(engine=ground.runtime.ref, target=target))
        await heard.of(EventKind.PAUSED, container)
        await ground.do(actions.Unpause(engine=ground.runtime.ref, target=target))
        await heard.of(EventKind.UNPAUSED, container)
        ground.daemon.call("update", "--pids-limit", "100", "it")
        await heard.of(EventKind.UPDATED, container)
        assert (await ground.do(actions.Stop(engine=ground.runtime.ref, target=target))).status == Status.DONE
        await heard.of(EventKind.DIED, container)
        await ground.do(actions.Remove(engine=ground.runtime.ref, target=target))
        await heard.of(EventKind.REMOVED, container)
        # The same name is another container.
        again = await asyncio.to_thread(ground.daemon.run, "it")
        await heard.of(EventKind.STARTED, again)
    assert kinds(heard, container) == [
        EventKind.CREATED, EventKind.STARTED, EventKind.PAUSED, EventKind.UNPAUSED, EventKind.UPDATED, EventKind.DIED,
        EventKind.REMOVED,
    ]  # fmt: skip
    assert kinds(heard, again) == [EventKind.CREATED, EventKind.STARTED]
    assert len({event.identity() for event in heard.events}) == len(heard.events)
    with pytest.raises(errors.NotFound, match="has no container it"):
        await ground.do(actions.Kill(engine=ground.runtime.ref, target=target))
    assert ground.daemon.status("it") == "running"


async def test_pausing_by_others_is_seen_within_seconds(ground):
    container = ground.daemon.run("it")
    async with Hearing(ground) as heard:
        ground.daemon.pause("it")
        await heard.of(EventKind.PAUSED, container)
        ground.daemon.unpause("it")
        await heard.of(EventKind.UNPAUSED, container)


async def test_where_the_kernel_gives_no_notice_it_is_looked_for(ground, monkeypatch):
    def too_many(*of):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", too_many)
    monkeypatch.setattr(os, "eventfd", too_many)
    monkeypatch.setattr(inotify.Inotify, "add", too_many)
    monkeypatch.setattr(events, "POLL_SECONDS", 0.2)
    async with Hearing(ground) as heard:
        container = await asyncio.to_thread(ground.daemon.run, "it")
        await heard.of(EventKind.STARTED, container)
        os.kill(ground.daemon.pid("it"), signal.SIGKILL)
        await heard.of(EventKind.DIED, container)
        await asyncio.to_thread(ground.daemon.remove, "it")
        await heard.of(EventKind.REMOVED, container)


async def test_notices_that_were_lost_are_made_up_for(ground, monkeypatch):
    def lossy(self):
        os.read(self._descriptor, 65536)
        self._changed(-1, inotify.OVERFLOW, "")

    monkeypatch.setattr(inotify.Inotify, "_read", lossy)
    async with Hearing(ground) as heard:
        container = await asyncio.to_thread(ground.daemon.run, "it")
        await heard.of(EventKind.STARTED, container)
        await asyncio.to_thread(ground.daemon.remove, "it")
        await heard.of(EventKind.REMOVED, container)


@pytest.mark.parametrize("program", ["ocid", "crund"])
async def test_memory_that_runs_out_is_told_before_the_end(request, program):
    host = request.getfixturevalue(program)
    async with opened(host.url) as ground:
        async with Hearing(ground) as heard:
            eat = "while [ ! -e /tmp/go ]; do sleep 0.02; done; x=a; while :; do x=$x$x; done"
            container = await asyncio.to_thread(host.run, "it", eat, init=False, memory=32 << 20)
            await heard.of(EventKind.STARTED, container)
            (host.rootfs / "tmp/go").touch()
            await heard.of(EventKind.DIED, container)
        assert kinds(heard, container) == [EventKind.CREATED, EventKind.STARTED, EventKind.OOM, EventKind.DIED]
        (row,) = (await ground.rows()).values()
        assert row.oom_killed
    (host.rootfs / "tmp/go").unlink()


async def test_a_process_inside_that_the_kernel_killed_is_told_while_the_container_lives(ground):
    # The shell's child eats; the shell lives on.
    script = "while [ ! -e /tmp/go ]; do sleep 0.02; done; (x=a; while :; do x=$x$x; done); exec sleep 3600"
    async with Hearing(ground) as heard:
        container = await asyncio.to_thread(ground.daemon.run, "it", script, memory=32 << 20)
        await heard.of(EventKind.STARTED, container)
        (ground.daemon.rootfs / "tmp/go").touch()
        await heard.of(EventKind.OOM, container)
    assert ground.daemon.status("it") == "running"
    (ground.daemon.rootfs / "tmp/go").unlink()


async def test_the_whole_watch_lives_through_a_state_directory_that_vanishes_and_is_made_again(short_tmp):
    with private_oci() as host:
        async with WatchedEngine(_door(host.url)) as eye:
            await asyncio.to_thread(host.run, "one")
            await eye.until(lambda: [row.state for row in eye.mirror.containers.values()] == ["running"])
            await asyncio.to_thread(host.clear)
            host.state.rmdir()
            await eye.until(lambda: not eye.mirror.containers)
            host.state.mkdir(mode=0o700)
            again = await asyncio.to_thread(host.run, "one")
            await eye.until(lambda: [row.state for row in eye.mirror.containers.values()] == ["running"])
            assert list(eye.mirror.containers) == [again]
            os.kill(host.pid("one"), signal.SIGKILL)
            await eye.until(lambda: [row.state for row in eye.mirror.containers.values()] == ["exited"])


def _door(url):
    from runtimes import engine_registry

    return engine_registry.EngineAddress(kind="oci", url=url)


# ── many ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_hundred_state_files_are_read_in_no_time(ground, record_property):
    ground.daemon.run("it", labels={"a": "b"})
    state = json.loads((ground.daemon.state / "it/state.json").read_text())
    for number in range(199):
        folder = ground.daemon.state / f"c{number}"
        folder.mkdir()
        (folder / "state.json").write_text(json.dumps(state | {"id": f"c{number}"}))
    began = time.perf_counter()
    rows = await ground.rows()
    first = time.perf_counter() - began
    assert len(rows) == 200
    assert {row.state for row in rows.values()} == {"running"}
    assert {row.labels["a"] for row in rows.values()} == {"b"}
    times = []
    for _ in range(9):
        began = time.perf_counter()
        await ground.rows()
        times.append(time.perf_counter() - began)
    record_property("200 containers listed by oci", f"{first * 1e3:.1f} ms at first, then {min(times) * 1e3:.1f} ms")
    async with Hearing(ground) as heard:
        os.kill(state["init_process_pid"], signal.SIGKILL)
        async with asyncio.timeout(60):
            while sum(event.kind is EventKind.DIED for event in heard.events) < 200:
                await asyncio.sleep(0.01)
        for number in range(199):
            shutil.rmtree(ground.daemon.state / f"c{number}")
        async with asyncio.timeout(60):
            while sum(event.kind is EventKind.REMOVED for event in heard.events) < 199:
                await asyncio.sleep(0.01)
    assert len(heard.events) == 399


# ── other engines ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_dockers_containers_are_dockers(dockerd):
    container = dockerd.run("it")
    url = f"file://{dockerd.root}/exec/runtime-runc"
    async with opened(url, watched_kinds=frozenset({"docker"})) as ground:
        assert await ground.rows() == {}
        told = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
        assert (told.containers, told.owned, told.notes) == (0, (("docker", 1),), ())
        async with Hearing(ground) as heard:
            dockerd.api.kill(container)
            dockerd.api.wait(container)
            assert (await ground.rows(), heard.events) == ({}, [])
    dockerd.api.start(container)
    async with opened(url) as ground:  # nobody else tells of them
        rows = await ground.rows()
        assert list(rows) == [container[:12]]
        told = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
        assert (told.containers, told.owned) == (1, ())
        assert "belong to docker" in told.notes[0]
        with pytest.raises(errors.Rejected, match="belongs to an engine of kind docker"):
            await ground.do(actions.Remove(engine=ground.runtime.ref, target=rows[container[:12]].ref, force=True))
        assert dockerd.status("it") == "running"


@pytest.fixture
def containerd(short_tmp, ocid):
    """A containerd for one test, with runc's state directories below its own root."""
    need("containerd", "containerd", "ctr", root=True)
    (short_tmp / "config.toml").write_text(
        f'version = 2\nroot = "{short_tmp}/data"\nstate = "{short_tmp}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\n  address = "{short_tmp}/c.sock"\n[ttrpc]\n  address = "{short_tmp}/t.sock"\n'
        f'[plugins."io.containerd.internal.v1.opt"]\n  path = "{short_tmp}/opt"\n'
    )
    with (short_tmp / "log").open("wb") as log:
        process = subprocess.Popen(["containerd", "-c", short_tmp / "config.toml"], stdout=log, stderr=log)

    def ctr(*words, check=True):
        return subprocess.run(
            ["ctr", "-a", short_tmp / "c.sock", *words], check=check, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )

    try:
        wait_for("containerd to answer", lambda: ctr("version", check=False).returncode == 0)
        yield ctr
    finally:
        for space in ("k8s.io", "mine"):
            ctr("-n", space, "task", "kill", "-s", "KILL", f"{short_tmp.name}-{space}", check=False)
            wait_for(
                "its task to end",
                lambda space=space: b"RUNNING" not in ctr("-n", space, "task", "ls", check=False).stdout,
            )
            ctr("-n", space, "task", "rm", f"{short_tmp.name}-{space}", check=False)
        process.terminate()
        process.wait(60)


async def test_containerds_containers_are_containerds_and_those_of_kubernetes_cris(containerd, short_tmp, ocid):
    for space in ("k8s.io", "mine"):
        containerd(
            "-n", space, "run", "--detach", "--runc-root", f"{short_tmp}/containerd/runc", "--rootfs", ocid.rootfs,
            f"{short_tmp.name}-{space}", "/bin/sleep", "3600",
        )  # fmt: skip
    url = f"file://{short_tmp}/containerd/runc"
    async with opened(url, watched_kinds=frozenset({"containerd", "cri"})) as ground:
        told = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
        assert (told.containers, told.owned) == (0, (("containerd", 1), ("cri", 1)))
    async with opened(url, watched_kinds=frozenset({"containerd"})) as ground:
        told = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
        assert (told.containers, told.owned) == (0, (("containerd", 2),))
    async with opened(url, watched_kinds=frozenset({"cri"})) as ground:
        rows = await ground.rows()
        assert [(row.ref.name, row.state) for row in rows.values()] == [(f"{short_tmp.name}-mine", "running")]


async def test_podmans_containers_are_podmans_also_in_a_pod():
    with private_podman() as podman:
        container = podman.run("it")
        podman.cli("pod", "create", "--name", "front", "--infra=false")
        script = ("/bin/sh", "-c", "exec sleep 3600")
        in_pod = podman.cli("run", "-d", "--pod", "front", "localhost/busybox:1", *script).splitlines()[-1]
        # Podman names no state directory of its own: others have theirs in runc's too.
        async with opened("file:///run/runc") as ground:
            row = (await ground.rows())[container[:12]]
            assert row.state == "running"
        async with opened("file:///run/runc", watched_kinds=frozenset({"podman"})) as ground:
            assert not {container[:12], in_pod[:12]} & (await ground.rows()).keys()
            told = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
            assert dict(told.owned)["podman"] >= 2


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_hostile_states_are_left_out_and_said(ground):
    ground.daemon.run("it")
    state = ground.daemon.state
    good = json.loads((state / "it/state.json").read_text())

    def place(name, content, file="state.json"):
        (state / name).mkdir()
        (state / name / file).write_bytes(content)

    place("torn", json.dumps(good).encode()[:-9])
    place("deep", b'{"id":' + b"[" * 200_000)
    place("huge", b" " * (untrusted_files.MAX_FILE_BYTES + 1))
    place("typed", b'{"init_process_pid": "one"}')
    place("nothing", b"{}")
    place("bytes", b'{"created": "\xff\xfe"}')
    place("dated", json.dumps(good | {"created": "yesterday\n\x1b[31m"}).encode())
    place("two\nlines\x1b[31m", b'{"pid": 1, "created": "2026-01-01T00:00:00.5Z", "bundle": "/"}', "status")
    place("-rf", json.dumps(good | {"id": "-rf"}).encode())
    (state / "link").symlink_to(state / "it")
    (state / "loop").symlink_to(state / "loop")
    place("far", b"", "note")
    (state / "far/state.json").symlink_to("/etc/passwd")
    place("pipe", b"", "note")
    os.mkfifo(state / "pipe/state.json")
    (state / "file").write_text("x")
    place("theirs", json.dumps(good).encode())
    os.chown(state / "theirs/state.json", 65534, 65534)
    rows = await ground.rows()
    # A field that cannot be decoded is left out; the container is listed without it.
    assert {"it", "-rf", "dated", "nothing", "typed", "bytes", "two?lines?[31m"} == set(rows) - {"link"}
    assert {rows[name].state for name in ("nothing", "typed", "bytes", "two?lines?[31m")} == {"exited"}
    assert rows["dated"].created_at == 0
    told = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
    assert told.fault == ""
    info = await ground.do(actions.ShowInfo(engine=ground.runtime.ref))
    faults = "\n".join(info.data["faults"])
    for name in ("torn", "deep", "huge", "far", "pipe", "theirs"):
        assert f"/{name}: " in faults
    # Never taken for an option: its files are the other one's, and so is the process they tell of.
    ran = await ground.do(inside_containers.Exec(engine=ground.runtime.ref, target=rows["-rf"].ref, command=("true",)))
    assert ran.exit_code == 0
    assert ground.daemon.status("it") == "running"


async def test_a_bundle_that_is_huge_or_gone_or_hostile_hides_nothing_else(ground):
    ground.daemon.run("it")
    place = ground.daemon.root / "bundles/it/config.json"
    honest = place.read_bytes()
    target = await ground.ref("it")
    inspect = actions.InspectContainer(engine=ground.runtime.ref, target=target)
    assert (await ground.do(inspect)).data["spec"]["hostname"] == "box"
    place.write_bytes(honest[:-1] + b" " * untrusted_files.MAX_FILE_BYTES + b"}")
    with pytest.raises(errors.NotFound, match="larger than 4 MiB"):
        await ground.do(inspect)
    place.unlink()
    place.symlink_to("/etc/shadow")
    with pytest.raises(errors.NotFound, match="cannot be read"):
        await ground.do(inspect)
    place.unlink()
    with pytest.raises(errors.NotFound, match="No such file"):
        await ground.do(inspect)
    async with opened(ground.daemon.url) as fresh:
        (row,) = (await fresh.rows()).values()
        assert (row.state, row.command) == ("running", "")
    place.write_bytes(honest)


async def test_what_vanishes_while_it_is_read_is_not_there(ground, monkeypatch):
    for name in ("one", "two"):
        ground.daemon.run(name)
    read = untrusted_files.read_file

    def late(place, owners):
        if place.endswith("one/state.json"):
            ground.daemon.remove("one")
        return read(place, owners)

    monkeypatch.setattr(untrusted_files, "read_file", late)
    assert list(await ground.rows()) == ["two"]


async def test_a_number_given_to_another_process_is_not_taken_for_the_container(ground):
    container = ground.daemon.run("it")
    place = ground.daemon.state / "it/state.json"
    state = json.loads(place.read_text())
    place.write_text(json.dumps(state | {"init_process_start": state["init_process_start"] + 1}))
    (row,) = (await ground.rows()).values()
    assert (row.ref.id, row.state) == (container, "exited")
    place.write_text(json.dumps(state | {"init_process_pid": os.getpid()}))
    (row,) = (await ground.rows()).values()
    assert row.state == "exited"
    place.write_text(json.dumps(state))


async def test_a_program_that_is_missing_is_a_sentence_with_its_cure(ground, monkeypatch):
    ground.daemon.run("it")
    target = await ground.ref("it")
    async with opened(f"{ground.daemon.url}?program=/nowhere/runc") as other:
        assert list(await other.rows()) == ["it"]
        told = await other.do(actions.DescribeEngine(engine=other.runtime.ref))
        assert (told.fault, told.version) == ("", "")
        assert "The program /nowhere/runc of this engine's url does not exist" in told.notes[0]
        with pytest.raises(errors.Unreachable, match="Without it, Quarterdeck searches for runc itself") as caught:
            await other.do(actions.Stop(engine=other.runtime.ref, target=target))
        assert not caught.value.sent
    assert ground.daemon.status("it") == "running"


async def test_a_program_that_hangs_costs_its_deadline_and_is_ended(ground, short_tmp):
    ground.daemon.run("it")
    slow = short_tmp / "runc"
    slow.write_text(f"#!/bin/sh\necho $$ > {short_tmp}/pid\nexec sleep 600\n")
    slow.chmod(0o755)
    async with opened(f"{ground.daemon.url}?program={slow}") as other:
        target = await other.ref("it")
        for seconds in (0.5, 10, 60):  # a busy machine takes its time to start the program
            with pytest.raises(errors.TimedOut) as caught:
                await other.do(actions.Pause(engine=other.runtime.ref, target=target), seconds=seconds)
            if caught.value.sent and (short_tmp / "pid").exists():
                break
        assert caught.value.sent
        assert not Path(f"/proc/{(short_tmp / 'pid').read_text().strip()}").exists()
        assert list(await other.rows()) == ["it"]


async def test_a_program_left_running_inside_does_not_hold_up_the_answer(crund):
    """runc itself waits for every process that has its output open. crun does not, and Quarterdeck must not."""
    crund.run("it")
    async with opened(crund.url) as ground:
        target = await ground.ref("it")
        ran = await ground.do(
            inside_containers.Exec(
                engine=ground.runtime.ref, target=target, command=("sh", "-c", "sleep 300 & echo begun")
            )
        )
    assert (ran.exit_code, ran.stdout) == (0, "begun\n")


async def test_an_ordinary_user_is_told_whose_it_is_and_may_read_their_own(ground, short_tmp):
    """Runs as another process, since dropped rights cannot be regained."""
    ground.daemon.run("it")
    short_tmp.chmod(0o755)
    own = short_tmp / "own"
    own.mkdir(mode=0o700)
    os.chown(own, 65534, 65534)
    script = """
import asyncio, os, sys
from datetime import UTC, datetime, timedelta
from core import errors
from core.model import actions, inside_containers
from core.ports import Call
from runtimes.oci.engine import Oci
os.setgroups([]); os.setgid(65534); os.setuid(65534)
async def main():
    call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
    for url in sys.argv[1:]:
        runtime = Oci(url)
        told = await runtime.run(actions.DescribeEngine(engine=runtime.ref), call)
        print(told.containers, told.fault, *told.notes)
        await runtime.aclose()
asyncio.run(main())
"""
    import sys

    urls = [ground.daemon.url, f"file://{own}", f"file://{own}:{ground.daemon.state}"]
    ground.daemon.root.chmod(0o755)
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, *urls], check=True, stdout=subprocess.PIPE, text=True
    )
    denied, mine, both = ran.stdout.splitlines()
    assert "cannot be read by nobody: Permission denied." in denied
    assert "run Quarterdeck as root" in denied
    assert mine.strip() == "0"
    assert both.startswith("0  Could not read ") and both.endswith("Permission denied.")


async def test_what_stands_in_a_users_directory_is_done_as_that_user(ground, short_tmp):
    """A process number that an ordinary user wrote there must not become a signal that root sends."""
    victim = await asyncio.create_subprocess_exec("sleep", "600")
    born = procfs.process_start_ticks(victim.pid)
    short_tmp.chmod(0o755)
    own = short_tmp / "crun"
    (own / "it").mkdir(parents=True)
    status = {
        "pid": victim.pid, "process-start-time": born, "cgroup-path": "", "rootfs": "/", "systemd-cgroup": False,
        "bundle": str(own), "created": "2026-01-01T00:00:00.000001Z", "detached": True, "external_descriptors": "[]",
    }  # fmt: skip
    (own / "it/status").write_text(json.dumps(status))
    (own / "it/config.json").write_text(json.dumps({"ociVersion": "1.0.0", "annotations": {}}))
    for place in (own, *own.rglob("*")):
        os.chown(place, 65534, 65534)
    need("oci", "crun")
    async with opened(f"file://{own}") as other:
        target = await other.ref("it")
        with pytest.raises(errors.Rejected):
            await other.do(actions.Kill(engine=other.runtime.ref, target=target))
        assert victim.returncode is None
        (own / "it/status").write_text(json.dumps(status | {"bundle": "/"}))
        link = own / "link"
        link.symlink_to(ground.daemon.state)
        assert list(await other.rows()) == ["it"]
    victim.kill()
    await victim.wait()


async def test_two_addresses_of_one_directory_are_one_engine(ground, short_tmp):
    from runtimes.base import duplicate_engines

    known = duplicate_engines.DuplicateEngineCheck()
    link = short_tmp / "link"
    link.symlink_to(ground.daemon.state)
    async with (
        opened(ground.daemon.url, identity=known.identity()) as one,
        opened(f"file://{link}", name="b", identity=known.identity()) as b,
    ):
        await one.rows()
        assert one.runtime.engine_id
        assert one.runtime.ref.host == socket.gethostname()
        with pytest.raises(errors.DuplicateEngine):
            await b.rows()
