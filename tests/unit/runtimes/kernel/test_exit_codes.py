"""The exit code of a process that somebody else waits for, as the kernel reports it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from runtimes.kernel import exit_codes, procfs
from runtimes.oci import kernel_watches

REPORTED = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 15)


@pytest.fixture
def process() -> Any:
    with subprocess.Popen(["/bin/sh", "-c", "read code; exit $code"], stdin=subprocess.PIPE, text=True) as made:
        yield made
        made.kill()


@pytest.mark.parametrize(("code", "told"), [("0", 0), ("3", 3), ("255", 255), ("killed", 137)])
def test_the_code_is_known_once_somebody_waited(process: Any, code: str, told: int) -> None:
    pidfd = os.pidfd_open(process.pid)
    try:
        assert exit_codes.read_exit_code(pidfd) is None and exit_codes.is_awaited(pidfd) in (REPORTED, True)
        if code == "killed":
            process.kill()
        else:
            process.stdin.write(f"{code}\n")
            process.stdin.flush()
        process.wait()
        assert exit_codes.read_exit_code(pidfd) == (told if REPORTED else None)
        assert not exit_codes.is_awaited(pidfd)
    finally:
        os.close(pidfd)


def test_what_is_no_pidfd_has_no_code() -> None:
    read, write = os.pipe()
    assert exit_codes.read_exit_code(read) is None and not exit_codes.is_awaited(read)
    os.close(read)
    os.close(write)


async def test_the_end_of_a_container_is_marked_with_its_code(process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_watches, "CODE_PAUSE_SECONDS", 0.001)
    ended: list[tuple[str, str]] = []
    watches = kernel_watches.KernelWatches(SimpleNamespace(), ended.append)  # type: ignore[arg-type]
    key = ("/run/runc", "web")
    stored = SimpleNamespace(pid=process.pid, start_ticks=procfs.process_start_ticks(process.pid))
    watches.watch_process(key, SimpleNamespace(stored=stored))  # type: ignore[arg-type]
    process.stdin.write("7\n")
    process.stdin.flush()
    waiting = asyncio.create_task(asyncio.to_thread(process.wait))  # as the parent of a container does, a moment later
    async with asyncio.timeout(60):
        await watches.woken.wait()
    await waiting
    assert list(watches.changed) == ended == [key]
    assert watches.exit_code(key) == (7 if REPORTED else None)
    watches.unwatch(key)
    assert watches.exit_code(key) is None
    watches.close()


async def test_a_code_that_nobody_waits_for_is_not_waited_for_long(
    process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_watches, "CODE_PAUSE_SECONDS", 0.001)
    watches = kernel_watches.KernelWatches(SimpleNamespace(), lambda key: None)  # type: ignore[arg-type]
    key = ("/run/runc", "web")
    stored = SimpleNamespace(pid=process.pid, start_ticks=procfs.process_start_ticks(process.pid))
    watches.watch_process(key, SimpleNamespace(stored=stored))  # type: ignore[arg-type]
    process.kill()
    async with asyncio.timeout(60):
        await watches.woken.wait()
    assert list(watches.changed) == [key] and watches.exit_code(key) is None and not watches._code_timers
    watches.close()
