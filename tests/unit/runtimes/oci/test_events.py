"""What changes while containers of runc and crun are read and watched."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.model.refs import EngineRef
from runtimes.kernel import procfs
from runtimes.oci import decode, events, state_dirs
from runtimes.oci.events import EventStream
from runtimes.oci.kernel_watches import KernelWatches
from runtimes.oci.state_reader import ContainerState, StateReader

ENGINE = EngineRef(host="h", kind="oci")


class Container:
    """A state directory of runc with one container, which was created and not started. Its first process is this
    one."""

    def __init__(self, root: Path) -> None:
        groups = root / "cgroup"
        self.freezer = groups / "freezer/web"
        self.freezer.mkdir(parents=True)
        self.folder = root / "runc/web"
        self.folder.mkdir(parents=True)
        self.fifo = self.folder / "exec.fifo"
        self.fifo.touch()
        self.write(os.getpid())
        self.states = StateReader(state_dirs.parse(f"file://{self.folder.parent}"), cgroups=str(groups))

    def write(self, pid: int) -> None:
        ticks = procfs.process_start_ticks(os.getpid())
        state = {
            "init_process_pid": pid,
            "init_process_start": ticks,
            "created": "2026-11-24T17:18:59.261892231Z",
            "config": {},
            "cgroup_paths": {"freezer": str(self.freezer)},
        }
        (self.folder / decode.STATE_FILES["runc"]).write_text(json.dumps(state))

    def stream(self) -> EventStream:
        async def run(read: Callable[[], Any]) -> Any:
            await asyncio.sleep(0)
            return read()

        return EventStream(ENGINE, self.states, run, lambda container: True, end_times={}, exit_codes={})


async def test_a_start_between_the_first_list_and_the_first_watch_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(tmp_path)
    read_all = container.states.read_all

    def read_and_start() -> Any:
        listing = read_all()
        container.fifo.unlink()
        return listing

    monkeypatch.setattr(container.states, "read_all", read_and_start)
    batches = container.stream().batches()
    async with asyncio.timeout(30):
        assert await anext(batches) == ()
        assert [event.action for event in await anext(batches)] == ["start"]
    await batches.aclose()


async def test_a_pause_is_found_although_the_kernel_reports_other_changes_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "POLL_SECONDS", 0.0)
    container = Container(tmp_path)
    container.fifo.unlink()
    stream = container.stream()
    batches = stream.batches()
    assert await anext(batches) == ()
    watches = stream._watches
    assert watches is not None
    read_changed = stream._read_changed

    async def read_and_report(*args: Any) -> Any:
        found = await read_changed(*args)
        watches.mark(str(container.folder.parent), "another")
        return found

    monkeypatch.setattr(stream, "_read_changed", read_and_report)
    watches.mark(str(container.folder.parent), "another")
    (container.freezer / "freezer.state").write_text("FROZEN\n")
    async with asyncio.timeout(30):
        assert [event.action for event in await anext(batches)] == ["pause"]
    await batches.aclose()


def test_a_container_that_is_removed_while_it_is_read_was_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(tmp_path)
    container.write(0)
    lexists = os.path.lexists

    def remove_first(path: str) -> bool:
        shutil.rmtree(container.folder, ignore_errors=True)
        return lexists(path)

    (found,) = container.states.read_all().containers
    assert not found.started
    monkeypatch.setattr(os.path, "lexists", remove_first)
    assert container.states.read_container(str(container.folder.parent), "web") is None


async def test_the_memory_of_an_ended_container_is_not_watched_any_more(tmp_path: Path) -> None:
    memory = tmp_path / "cgroup/web"
    memory.mkdir(parents=True)
    (memory / "memory.events").touch()
    (tmp_path / "cgroup/cgroup.controllers").touch()
    states = StateReader(state_dirs.parse(f"file://{tmp_path}/runc"), cgroups=str(tmp_path / "cgroup"))
    stored = decode.decode_runc_state(json.dumps({"cgroup_paths": {"": str(memory)}}).encode())
    watches = KernelWatches(states, lambda key: None)

    def count() -> int:
        return Path(f"/proc/self/fdinfo/{watches._inotify._descriptor}").read_text().count("inotify wd:")

    for number in range(2):
        container = ContainerState(
            root="/r", name=f"web{number}", id="", stored=stored, state="running", started=True, started_ns=None,
            oom_kills=None, owners=(),
        )  # fmt: skip
        key = (container.root, container.name)
        watches.watch_memory(key, container)
        watches.watch_memory(key, container)  # at each change of the container
        assert count() == 1
        watches.unwatch(key)
        assert count() == 0
    watches.close()
