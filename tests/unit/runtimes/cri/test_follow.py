"""A followed log of a CRI container whose job is stopped."""

import asyncio
import os
import threading
from types import SimpleNamespace

from core.model import actions
from core.model.refs import Kind, Ref
from runtimes.base.jobs import Job
from runtimes.cri import decode, engine, log_reader
from runtimes.proto import cri_pb2 as cri


async def test_a_log_that_is_being_opened_when_the_job_is_stopped_is_closed(tmp_path, monkeypatch):
    log = tmp_path / "0.log"
    log.write_bytes(b"")
    entered, goes_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Follower(log_reader.LogFollower):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            entered.set()
            goes_on.wait()

        def close(self):
            super().close()
            closed.set()

    async def status(target, seconds, *, verbose=False):
        return SimpleNamespace(status=cri.ContainerStatus(id="a", state=decode.RUNNING, log_path=str(log)))

    monkeypatch.setattr(log_reader, "LogFollower", Follower)
    runtime = engine.Cri("unix:///run/none.sock")
    monkeypatch.setattr(runtime, "_container_status", status)
    monkeypatch.setattr(runtime, "_log_owners", lambda: (os.geteuid(),))
    target = Ref(engine=runtime.ref, kind=Kind.CONTAINER, id="a", name="web")
    action = actions.ReadLogs(engine=runtime.ref, target=target, follow=True)
    following = asyncio.create_task(runtime._follow(action, Job("j", action.verb, "ann", read_only=True)))
    await asyncio.to_thread(entered.wait)
    following.cancel()
    await asyncio.wait([following])
    goes_on.set()
    assert await asyncio.to_thread(closed.wait, 30)
    await runtime.aclose()
