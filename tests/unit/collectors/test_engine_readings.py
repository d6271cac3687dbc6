"""Counts, file systems and units: what is read at long intervals, and what happens if an engine fails or is away."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from collectors import data_filesystem_reader
from collectors.data_filesystem_reader import DataFilesystemReader
from collectors.resource_counter import INTERVAL_SECONDS, ResourceCounter
from collectors.systemd_unit_reader import SystemdUnitReader
from core import errors
from core.model.disk_use import DataRoot, Filesystem
from runtimes.base import data_filesystem
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime


class Rooted(FakeRuntime):
    root: DataRoot | None = None

    @property
    def data_root(self) -> DataRoot | None:
        return self.root


async def test_images_are_counted_and_again_after_the_interval() -> None:
    now = 1000.0
    engine = FakeRuntime("h1", lacks=("volume.list", "network.list"))
    engine.add("web")
    mirror = Mirror(engine, now=lambda: now)
    counter = ResourceCounter(lambda: [mirror], now=lambda: now)
    assert (await counter.run()).asked == 1
    counts = mirror.resources.counts
    assert counts is not None and (counts.images, counts.dangling_images) == (1, 0)
    assert (counts.volumes, counts.networks) == (None, None), "it has no such verbs"
    now += INTERVAL_SECONDS - 1
    assert (await counter.run()).asked == 0
    now += 2
    assert (await counter.run()).asked == 1


async def test_a_clock_that_is_set_back_does_not_stop_the_counts() -> None:
    now = 1_000_000.0
    mirror = Mirror(FakeRuntime("h1"), now=lambda: now)
    counter = ResourceCounter(lambda: [mirror], now=lambda: now)
    await counter.run()
    now -= 500_000.0
    assert (await counter.run()).asked == 1


async def test_an_engine_that_fails_is_a_fault_and_the_others_are_counted() -> None:
    away, fine = FakeRuntime("h1"), FakeRuntime("h2")
    away.reachable = False
    mirrors = Mirror(away), Mirror(fine)
    done = await ResourceCounter(lambda: mirrors).run()
    assert done.asked == 2 and len(done.faults) == 1 and "h1" in done.faults[0]
    assert mirrors[0].resources.counts is None and mirrors[1].resources.counts is not None
    assert (await ResourceCounter(lambda: mirrors).run()).asked == 1, "a failure is tried again in the next round"


async def test_a_bug_with_one_engine_does_not_stop_the_others(monkeypatch: Any) -> None:
    broken, fine = Mirror(FakeRuntime("h1")), Mirror(FakeRuntime("h2"))

    async def bug(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(broken, "run", bug)
    done = await ResourceCounter(lambda: [broken, fine]).run()
    assert done.faults == ("fake/h1: internal error: ZeroDivisionError.",)
    assert fine.resources.counts is not None


async def test_units_are_read_and_are_gone_where_there_is_no_systemd(monkeypatch: Any) -> None:
    engine = FakeRuntime("h1", kind="podman")
    mirror = Mirror(engine, now=lambda: 1000.0)
    reader = SystemdUnitReader(lambda: [mirror], now=lambda: 1000.0)
    assert (await reader.run()).faults == ()
    assert mirror.resources.units is not None and mirror.resources.units_at == 1000.0

    async def no_systemd(*_: Any) -> Any:
        raise errors.Unreachable("This machine does not run systemd.", hint="Boot it with systemd.")

    monkeypatch.setattr(engine, "run", no_systemd)
    done = await reader.run()
    assert (done.asked, done.faults, mirror.resources.units) == (1, (), None)

    async def slow(*_: Any) -> Any:
        raise errors.TimedOut("It did not answer.", sent=False, hint="Look.")

    monkeypatch.setattr(engine, "run", slow)
    assert len((await reader.run()).faults) == 1


# File systems.


@pytest.fixture
def door(short_tmp: Path) -> Any:
    path = short_tmp / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        yield str(path)


def test_the_file_system_of_a_local_folder_is_read(door: str, tmp_path: Path) -> None:
    found = data_filesystem.read_filesystem(DataRoot(path=str(tmp_path), socket=door), socket.gethostname())
    assert found is not None and 0 < found.free <= found.size


@pytest.mark.parametrize("path", ["", "relative", "/nowhere/at/all", "/tmp/\0", "/" + 5000 * "x", "/\udcff"])
def test_a_path_that_is_none_has_no_file_system(door: str, path: str) -> None:
    assert data_filesystem.read_filesystem(DataRoot(path=path, socket=door), socket.gethostname()) is None


def test_another_machine_behind_a_local_socket_has_none(door: str, tmp_path: Path) -> None:
    assert data_filesystem.read_filesystem(DataRoot(path=str(tmp_path), socket=door), "another-host") is None


def test_without_a_visible_server_only_a_mount_point_counts(tmp_path: Path) -> None:
    nobody = str(tmp_path / "none.sock")
    assert data_filesystem.read_filesystem(DataRoot(path=str(tmp_path), socket=nobody), "container-id") is None
    found = data_filesystem.read_filesystem(DataRoot(path="/proc", socket=nobody), "container-id")
    assert found is not None, "what is mounted there was mounted on purpose"


def test_a_server_that_sees_another_folder_at_that_path_is_not_local(
    door: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(data_filesystem.os.path, "samestat", lambda *_: False)
    assert data_filesystem.read_filesystem(DataRoot(path=str(tmp_path), socket=door), socket.gethostname()) is None


MOVED = """
import ctypes, os, socket, sys, threading, time
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
ctypes.CDLL(None, use_errno=True).unshare(0x200) and sys.exit("unshare")  # CLONE_FS: a root of this thread's own
door = socket.socket(socket.AF_UNIX)
door.bind(sys.argv[1])
door.listen()
os.chroot(sys.argv[2])
print("moved", flush=True)
time.sleep(3600)
"""


def test_a_server_whose_main_thread_went_into_a_container_is_local(short_tmp: Path) -> None:
    (data := short_tmp / "data").mkdir()
    (container := short_tmp / "container").mkdir()
    words = [sys.executable, "-c", MOVED, str(short_tmp / "engine.sock"), str(container)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None and server.stdout.readline() == b"moved\n"
            root = DataRoot(path=str(data), socket=words[-2])
            assert not Path(f"/proc/{server.pid}/root{data}").exists()
            assert data_filesystem.read_filesystem(root, socket.gethostname()) is not None
        finally:
            server.kill()


async def test_file_systems_are_stored_in_the_mirrors_and_removed_when_they_cannot_be_read(
    door: str, tmp_path: Path
) -> None:
    engine = Rooted(socket.gethostname())
    engine.root = DataRoot(path=str(tmp_path), socket=door)
    mirror = Mirror(engine)
    reader = DataFilesystemReader(lambda: [mirror])
    try:
        assert (await reader.run()).asked == 1
        assert isinstance(mirror.resources.filesystem, Filesystem)
        engine.root = DataRoot(path="/nowhere", socket=door)
        await reader.run()
        assert mirror.resources.filesystem is None
    finally:
        reader.close()


async def test_a_disk_that_hangs_costs_its_own_engine_only(door: str, tmp_path: Path, monkeypatch: Any) -> None:
    stuck, fine = Rooted("h1"), Rooted("h2")
    stuck.root, fine.root = DataRoot(path="/stuck", socket=door), DataRoot(path=str(tmp_path), socket=door)
    go = threading.Event()

    def read(root: DataRoot, host: str) -> Filesystem | None:
        if root.path == "/stuck":
            go.wait(60)
        return Filesystem(size=2, free=1)

    monkeypatch.setattr(data_filesystem, "read_filesystem", read)
    monkeypatch.setattr(data_filesystem_reader, "TIMEOUT_SECONDS", 3.0)
    mirrors = Mirror(stuck), Mirror(fine)
    mirrors[0].resources.filesystem = Filesystem(size=9, free=9)
    reader = DataFilesystemReader(lambda: mirrors)
    try:
        done = await reader.run()
        assert len(done.faults) == 1 and "h1" in done.faults[0]
        assert (mirrors[0].resources.filesystem, mirrors[1].resources.filesystem) == (None, Filesystem(size=2, free=1))
    finally:
        go.set()
        reader.close()


async def test_the_thread_of_an_engine_that_is_gone_ends(door: str, tmp_path: Path) -> None:
    engine = Rooted(socket.gethostname())
    engine.root = DataRoot(path=str(tmp_path), socket=door)
    mirrors = [Mirror(engine)]
    reader = DataFilesystemReader(lambda: mirrors)
    await reader.run()
    name = f"file system of {engine.ref}"
    assert name in [thread.name for thread in threading.enumerate()]
    mirrors.clear()
    await reader.run()
    async with asyncio.timeout(60):
        while name in [thread.name for thread in threading.enumerate()]:
            await asyncio.sleep(0.01)
