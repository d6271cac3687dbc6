"""A user's event file, and what the user may put in its place."""

import asyncio
import contextlib
import json
import os
from types import SimpleNamespace

import pytest

from runtimes.kernel import file_tail
from runtimes.podman import decode, engine

LINE = b'{"ID":"1","Image":"i","Name":"it","Status":"start","Time":"2026-01-01T00:00:00.5Z","Type":"container"}\n'


@pytest.fixture
async def podman(tmp_path, monkeypatch):
    """A rootless service of this user that reports every event which its file contains."""
    runtime = engine.Podman(f"unix://{tmp_path}/podman.sock")
    runtime._info = SimpleNamespace(
        host=SimpleNamespace(events="file"),
        store=SimpleNamespace(run_root=str(tmp_path / "containers")),
        rootless=True,
        uid=os.geteuid(),
    )

    async def own(line, seconds):
        return bool(line)

    monkeypatch.setattr(runtime, "_is_own_event", own)
    (tmp_path / "libpod/tmp/events").mkdir(parents=True)
    yield runtime
    await runtime.aclose()


async def test_a_regular_file_is_followed(podman, tmp_path):
    path = tmp_path / "libpod/tmp/events/events.log"
    path.write_bytes(LINE)
    assert await podman.event_file() == path
    assert podman.event_file_fault == ""


@pytest.mark.parametrize("kind", ["fifo", "link to zero", "link to another file", "folder", "of somebody else", "none"])
async def test_anything_else_is_refused_with_its_reason(podman, tmp_path, kind):
    path = tmp_path / "libpod/tmp/events/events.log"
    expected = "not a regular file"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to zero":
        path.symlink_to("/dev/zero")
        expected = "symbolic link"
    elif kind == "link to another file":
        (tmp_path / "other").write_bytes(LINE)
        path.symlink_to(tmp_path / "other")
        expected = "symbolic link"
    elif kind == "of somebody else":
        path.write_bytes(LINE)
        podman._info.uid = os.geteuid() + 1
        expected = "it belongs to"
    else:
        expected = "No such file"
    assert await podman.event_file() is None
    assert expected in podman.event_file_fault


async def test_a_followed_file_is_closed_although_the_end_of_the_stream_beside_it_is_waited_for(podman, monkeypatch):
    ended, closed = asyncio.Event(), asyncio.Event()

    class Lines:
        skipped = 0

        def __init__(self, *args, **options):
            self.close, self.wake = closed.set, lambda: None

        async def open(self):
            """Does nothing."""

    async def silent():
        while not ended.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ended.wait()

    monkeypatch.setattr(file_tail, "FileTail", Lines)
    monkeypatch.setattr(podman, "_wait_for_end", silent)
    batches = podman._from_file("/events.log", None, 0)
    await anext(batches)
    closing = asyncio.create_task(batches.aclose())
    await closed.wait()
    assert not closing.done()
    ended.set()
    await closing


async def test_a_health_event_at_the_end_of_the_file_is_compared_and_still_new_to_the_stream(tmp_path, monkeypatch):
    runtime = engine.Podman(f"unix://{tmp_path}/podman.sock")
    runtime._decoder = decode.Decoder(runtime.ref, has_health=True)
    line = LINE.replace(b'"start"', b'"health_status","health_status":"unhealthy"')
    at_ns = 1_767_225_600_500_000_000
    actor = {"ID": "1", "Attributes": {"name": "it", "image": "i"}}
    said = {"Type": "container", "Action": "health_status", "HealthStatus": "unhealthy", "Actor": actor}
    body = json.dumps({**said, "timeNano": at_ns}).encode() + b"\n"

    async def request(method, target, seconds):
        return SimpleNamespace(body=body)

    monkeypatch.setattr(runtime, "_request", request)
    assert await runtime._is_own_event(line, 5.0)
    (event,) = runtime._decoder.file_events(line, replay_before=0)
    assert (event.at_ns, event.attrs["health"]) == (at_ns, "unhealthy")
    assert await runtime._is_own_event(line, 5.0)
    await runtime.aclose()
