"""The log of a container that a real engine restarts: its runs, the previous one, older lines, and following it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.model import actions
from core.model.background_jobs import ReadJob
from core.model.results import DIVIDER
from core.ports import Call
from core.store.records import EventsFound
from runtimes import engine_registry
from runtimes.inventory.stored_events import EngineWithHistory, StoredEvents

# It fails three times, the third time when it is told to, and then stays.
LOOP = (
    'echo x >> /n; n=$(wc -l < /n); echo "line $n"; [ $n -ge 4 ] && exec sleep 3600;'
    " while [ $n -eq 3 ] && [ ! -e /go ]; do sleep 0.1; done; sleep 0.3; exit 2"
)


class NoHistory:
    """A store without events, so that all are the engine's own."""

    async def find_events(self, wanted, selects):
        return EventsFound(events=(), oldest_us=0, cut_until_us=0, lost=0, lost_until_us=0, complete=True)

    async def record_own_changes(self, engine, containers, value, ttl):
        raise AssertionError


def docker(daemon):
    daemon.run("looping", LOOP, init=False, host={"restart_policy": {"Name": "always"}})


def podman(daemon):
    daemon.run("looping", LOOP, init=False, more=("--restart", "always"))


@pytest.fixture(params=[("dockerd", docker), ("podmand", podman)], ids=["docker", "podman"])
async def looping(request):
    name, run = request.param
    daemon = request.getfixturevalue(name)
    address = engine_registry.EngineAddress(kind=daemon.kind, url=daemon.url)
    engine = EngineWithHistory(engine_registry.open_engine(address), StoredEvents(NoHistory()))
    await asyncio.to_thread(run, daemon)
    yield engine, daemon
    await engine.aclose()


async def do(engine, action):
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    return await engine.run(action, Call(id="t", who="ann", deadline=deadline, invocation="t"))


async def read(engine, **more):
    rows = (await do(engine, actions.ListContainers(engine=engine.ref))).rows
    (target,) = [row.ref for row in rows if row.ref.name == "looping"]
    return await do(engine, actions.ReadLogs(engine=engine.ref, target=target, **more))


def texts(page):
    return [line.text for line in page.lines]


@pytest.mark.engine
async def test_the_log_of_a_crash_loop(looping):
    looping, daemon = looping
    job = (await read(looping, follow=True, over_restarts=True)).job
    lines, cursor = [], ""
    async with asyncio.timeout(60):
        while not any(line.text == "line 4" for line in lines):
            page = await do(looping, ReadJob(engine=looping.ref, job=job, cursor=cursor, wait=1.0))
            assert page.outcome is None, page.outcome
            lines, cursor = [*lines, *page.lines], page.cursor
            if any(line.text == "line 3" for line in page.lines):
                await asyncio.to_thread(daemon.exec, "looping", ["/bin/sh", "-c", ": > /go"])
    assert [line.text for line in lines if line.stream != DIVIDER] == ["line 1", "line 2", "line 3", "line 4"]
    # The log may have begun to be followed while a later run wrote.
    dividers = [line.text for line in lines if line.stream == DIVIDER]
    assert dividers
    assert all("started again" in text for text in dividers)

    page = await read(looping)
    assert texts(page) == ["line 1", "line 2", "line 3", "line 4"]
    assert [run.exit_code for run in page.runs] == [2, 2, 2, None]
    assert [run.number for run in page.runs] == [1, 2, 3, 4]
    assert page.runs[-1].ended_ns == 0
    if looping.ref.kind == "podman":  # its times are whole seconds, and a run is shorter
        previous = await read(looping, previous=True)
        assert "line 3" in texts(previous)
        assert [run.number for run in previous.runs] == [3]
        assert "whole seconds" in previous.notes[0]
        return
    assert texts(await read(looping, previous=True)) == ["line 3"]
    older = page.runs[1].ended_ns
    assert texts(await read(looping, tail=1, until_ns=older)) == ["line 2"]
