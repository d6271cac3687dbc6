"""What happened on each kind of engine while nobody listened is found once and marked, and the gap itself is a fact.

The stream is cut by a proxy between Quarterdeck and the engine's socket; or Quarterdeck's watch ends and another one
begins on what it saved; or the engine's daemon is killed and started again.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from collectors import engine_watcher, event_processor
from collectors.watch_timing import WatchTiming
from core import metrics
from core.model import gaps
from core.model.events import EventKind, Origin
from core.model.gaps import GapReason, Recovery
from runtimes.engine_registry import EngineAddress
from runtimes.inventory.mirror import Mirror
from tests.daemons.containerd import containerd_version
from tests.daemons.swarm import Opened, private_swarm
from tests.helpers import missed_events
from tests.helpers.socket_proxy import proxied
from tests.helpers.waiting import wait_for
from tests.helpers.watch_records import WatchRecords
from tests.helpers.watched_engine import WatchedEngine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

WITH_SOCKET = ("dockerd", "podmand", "containerdd", "crid", "crio")
OWN = ("own_dockerd", "own_podmand", "own_containerd", "own_crid")
QUICK = WatchTiming(max_pause=0.3)


def door(daemon, url=None):
    return EngineAddress(kind=daemon.kind, url=url or daemon.url)


def watched(daemon, records, url=None):
    return WatchedEngine(door(daemon, url), records, timing=QUICK)


async def prepared(eye, daemon):
    await asyncio.to_thread(missed_events.prepare, daemon)
    called = getattr(daemon, "called", lambda name: name)
    rows = [called(name) for name in ("stays", "goes", "crashes")]
    await eye.until(lambda: all((row := eye.row(name)) and row.state == "running" for name in rows))
    # A row may come from an inspection. What is not reported yet would be one of the missed events.
    await eye.until(lambda: all(EventKind.STARTED in eye.kinds(name) for name in rows))
    await eye.until(lambda: eye.mirror.live and not eye.mirror.dirty)


def saved(eye, records):
    """Whether the store has the last event that was seen, and the containers as they are since then."""
    last = max(event.at_ns for event in eye.seen)
    return any(
        record.cursor is not None and record.cursor >= last and len(record.containers) >= 3
        for record in records.records.values()
    )


def reported(events):
    return [gaps.from_event(event) for event in events if event.kind is EventKind.GAP]


def check(daemon, events, *more, codes=True):
    """Exactly these facts and `more`, once each, none of them taken for live. `codes`: whether the engine still knows
    the exit codes."""
    lives = [event for event in events if event.kind in missed_events.LIFE]
    assert missed_events.facts(events, daemon) == sorted([*missed_events.EXPECTED, *more]), lives
    assert all(event.origin is not Origin.LIVE for event in lives), lives
    (crash,) = [event for event in lives if event.kind is EventKind.DIED and "crashes" in event.subject.name]
    assert crash.attrs.get("exit_code") == ("3" if codes and daemon.kind != "oci" else None)


@pytest.mark.parametrize("name", WITH_SOCKET)
async def test_a_cut_stream_loses_nothing_and_is_one_gap(request, name, short_tmp):
    daemon = request.getfixturevalue(name)
    with proxied(daemon.socket, short_tmp / "p.sock") as proxy:
        async with watched(daemon, WatchRecords(), proxy.url) as eye:
            await prepared(eye, daemon)
            before = len(eye.seen)
            await asyncio.to_thread(proxy.cut)
            await eye.until(lambda: not eye.mirror.live)
            await asyncio.to_thread(missed_events.happen, daemon)
            await asyncio.to_thread(proxy.restore)
            await eye.until(lambda: reported(eye.seen[before:]))
            events = eye.seen[before:]
        check(daemon, events)
        (gap,) = reported(events)
        assert gap.reason is GapReason.STREAM_LOST
        assert gap.recovery is (Recovery.REPLAYED if daemon.kind == "podman" else Recovery.RESYNCED)


@pytest.mark.parametrize("name", ("crio", "crund"))  # e2e/test_gaps.py has the others, with a killed process
async def test_a_watch_that_died_is_continued_by_the_next_one(request, name):
    daemon, records = request.getfixturevalue(name), WatchRecords()
    async with watched(daemon, records) as eye:
        await prepared(eye, daemon)
        await eye.until(lambda: saved(eye, records))
    await asyncio.to_thread(missed_events.happen, daemon)
    async with watched(daemon, records) as eye:
        await eye.until(lambda: reported(eye.seen))
        stored = max(record.cursor for record in records.records.values())
        events = list(eye.seen)
    assert stored
    check(daemon, [event for event in events if event.kind is not EventKind.GAP])
    (gap,) = reported(events)
    assert gap.reason is GapReason.NOT_WATCHED
    assert gap.recovery is (Recovery.REPLAYED if daemon.kind == "podman" else Recovery.RESYNCED)


@pytest.mark.parametrize("name", OWN)
async def test_a_daemon_that_was_restarted_meanwhile_hides_nothing(request, name, short_tmp):
    daemon = request.getfixturevalue(name)
    with proxied(daemon.socket, short_tmp / "p.sock") as proxy:
        async with watched(daemon, WatchRecords(), proxy.url) as eye:
            await prepared(eye, daemon)
            before = len(eye.seen)
            await asyncio.to_thread(proxy.cut)
            await eye.until(lambda: not eye.mirror.live)
            await asyncio.to_thread(missed_events.happen, daemon)
            await asyncio.to_thread(daemon.kill)
            await asyncio.to_thread(daemon.start)
            await asyncio.to_thread(proxy.restore)
            await eye.until(lambda: reported(eye.seen[before:]))
            events = eye.seen[before:]
        # A Docker daemon that starts ends what is left of its containers.
        ended = ("stays", "comes") if daemon.kind == "docker" else ()
        # From 1.7 on, a containerd that starts deletes the tasks that have ended.
        codes = daemon.kind != "containerd" or containerd_version() < (1, 7)
        check(daemon, events, *[(EventKind.DIED, name) for name in ended], codes=codes)
        assert len(reported(events)) == 1


def happen_in_swarm(cluster):
    """A crash of a task, a removed and a new service, and more events than a manager stores."""
    (crashes,) = cluster.api.containers(filters={"label": "com.docker.swarm.service.name=crashes"})
    made = cluster.api.exec_create(crashes["Id"], ["/bin/sh", "-c", ": > /go"])
    cluster.api.exec_start(made["Id"])
    wait_for("the crash", lambda: "failed" in states(cluster, "crashes"))
    cluster.api.remove_service("goes")
    for number in range(missed_events.NOISE // 2):
        made = cluster.api.create_config(f"noise-{number}", b"x")
        cluster.api.remove_config(made["ID"])
    cluster.serve("comes")


def states(cluster, service):
    return [task["Status"]["State"] for task in cluster.api.tasks({"service": service})]


async def test_the_cut_stream_of_a_swarm_loses_nothing_and_is_one_gap(short_tmp):
    with private_swarm() as cluster, proxied(cluster.daemon.socket, short_tmp / "p.sock") as proxy:
        cluster.serve("goes")
        cluster.serve("crashes", ["/bin/sh", "-c", missed_events.CRASHES])
        wait_for("the tasks", lambda: states(cluster, "goes") == states(cluster, "crashes") == ["running"])
        opened = await Opened(SimpleNamespace(url=proxy.url)).meet()
        mirror, counts = Mirror(opened.swarm), metrics.Metrics()
        parts = (opened.swarm, mirror, event_processor.EventProcessor(mirror, counts), WatchRecords(), counts)
        task = asyncio.create_task(engine_watcher.EngineWatcher(*parts, timing=QUICK).run())
        try:
            async with asyncio.timeout(300):
                while not mirror.live:
                    await asyncio.sleep(0.05)
                for _ in range(2):  # two polls: what is there now is known
                    polled = opened.swarm.swarm_state().read_at
                    while opened.swarm.swarm_state().read_at == polled:
                        await asyncio.sleep(0.05)
                before = len(mirror.history)
                await asyncio.to_thread(proxy.cut)
                await asyncio.to_thread(happen_in_swarm, cluster)
                while mirror.live:
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(proxy.restore)
                while not reported(mirror.history):
                    await asyncio.sleep(0.05)
            events = list(mirror.history)[before:]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await opened.aclose()
    found = [(event.action, event.subject.name) for event in events if event.type == "service"]
    assert sorted(found) == [("create", "comes"), ("remove", "goes")], found
    (failed,) = [event for event in events if event.kind is EventKind.TASK_FAILED]
    assert failed.attrs["service"] == "crashes" and failed.attrs["exit_code"] == "3"
    marked = [event for event in events if event.type == "service" or event is failed]
    assert all(event.origin is not Origin.LIVE for event in marked)
    (gap,) = reported(events)
    assert (gap.reason, gap.recovery) == (GapReason.STREAM_LOST, Recovery.RESYNCED)
