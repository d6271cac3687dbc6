"""The watch over a fake engine, on fake loop time: what it hands on, what it survives, what it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import structlog

from collectors import engine_watcher, event_queue, relister
from collectors.event_processor import EventProcessor
from core import errors, metrics, supervise
from core.model import actions
from core.model.engines import Engine
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind
from runtimes.base.base_adapter import BaseAdapter, does
from runtimes.inventory.mirror import Mirror
from tests.helpers.watch_bench import Bench

pytestmark = pytest.mark.looptime


async def test_what_is_true_at_the_first_start_is_known_and_no_event() -> None:
    bench = Bench()
    ref = bench.engine.add("web", labels={"team": "a"})
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        assert bench.told() == []
        row = bench.mirror.containers[ref.id]
        assert (row.state, row.labels, row.restarts) == ("running", {"team": "a"}, 0)
        assert row.started_at is not None
        assert bench.count("stream_up") == 1
    assert bench.count("stream_up") == 0
    assert not bench.mirror.live
    assert bench.engine.streams == 0


async def test_live_events_are_counted_applied_and_remembered() -> None:
    bench = Bench()
    ref = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        bench.engine.happen(EventKind.DIED, ref, exit_code="137")
        new = bench.engine.add("new", labels={"team": "b"})
        await bench.until(lambda: new.id in bench.mirror.containers and bench.mirror.live)
        assert bench.mirror.containers[ref.id].exit_code == 137
        assert bench.mirror.containers[new.id].labels == {"team": "b"}
        assert bench.count("events_total", type="container", action="die") == 1
        assert [kind for kind, _, _ in bench.told()] == [EventKind.DIED, EventKind.CREATED, EventKind.STARTED]


async def test_an_engine_without_events_lives_on_its_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    web, old = bench.engine.add("web"), bench.engine.add("old")

    async def none(since: int | None) -> AsyncIterator[Any]:
        raise errors.EventsUnsupported("It keeps no events.", hint="Tell it to.")
        yield

    monkeypatch.setattr(bench.engine, "events", none)
    async with bench.watching():
        await bench.until(lambda: set(bench.mirror.containers) == {web.id, old.id})
        assert bench.told() == []
        with bench.engine.untold():
            bench.engine.happen(EventKind.DIED, web, exit_code="3")
            bench.engine.happen(EventKind.DIED, old)
            bench.engine.happen(EventKind.REMOVED, old)
        await bench.until(lambda: len(bench.told()) >= 3, 90)
        assert (EventKind.DIED, "web", Origin.RESYNC) in bench.told()
        assert (EventKind.REMOVED, "old", Origin.RESYNC) in bench.told()
        assert bench.count("stream_up") == 0
        assert not bench.mirror.live, "what is asked for is asked of the engine"
        assert set(bench.mirror.containers) == {web.id}


async def test_a_lost_stream_is_replayed_without_repeats() -> None:
    bench = Bench()
    ref = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        bench.engine.happen(EventKind.DIED, ref, exit_code="1")
        await bench.until(lambda: len(bench.told()) == 1)
        bench.engine.cut()
        await bench.until(lambda: bench.engine.streams == 0)
        assert not bench.mirror.live
        bench.engine.happen(EventKind.STARTED, ref)
        await bench.until(lambda: bench.mirror.live)
        assert [(kind, origin) for kind, _, origin in bench.told()] == [
            (EventKind.DIED, Origin.LIVE),
            (EventKind.STARTED, Origin.REPLAY),
        ]
        assert bench.count("events_total", type="container", action="die") == 1
        assert bench.count("stream_connects_total") == 2


async def test_executions_that_were_folded_are_not_counted_again_when_a_stream_is_resumed() -> None:
    bench = Bench()
    ref = bench.engine.add("web")

    def execution(at_ns: int, folded: int = 0) -> Event:
        subject = msgspec.structs.replace(ref, kind=Kind.ENGINE, id="") if folded else ref
        return Event(at_ns, EventKind.OTHER, subject, Origin.LIVE, "container", "exec_start", {}, folded)

    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(5)
        now = bench.now_ns()
        bench.engine.tell(execution(now, folded=3))
        await bench.until(lambda: bench.count("events_total", type="container", action="exec_start") == 3)
        # The daemon stores each of them, and one more that happens while the stream is lost.
        bench.engine.ring.clear()
        bench.engine.ring += [execution(now - 2), execution(now - 1), execution(now), execution(now + 1)]
        bench.engine.cut()
        await bench.until(lambda: not bench.mirror.live)
        await bench.until(lambda: bench.mirror.live)
        assert bench.count("events_total", type="container", action="exec_start") == 4


async def test_what_no_event_reported_is_found_by_the_list() -> None:
    bench = Bench()
    crashed, gone, _same = (bench.engine.add(name) for name in ("crashed", "gone", "same"))
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        bench.engine.cut()
        await bench.until(lambda: bench.engine.streams == 0)
        with bench.engine.untold():
            bench.engine.happen(EventKind.DIED, crashed, exit_code="3")
            bench.engine.happen(EventKind.DIED, gone)
            bench.engine.happen(EventKind.REMOVED, gone)
            bench.engine.add("new")
        await bench.until(lambda: bench.mirror.live)
        assert sorted(bench.told()) == [
            (EventKind.CREATED, "new", Origin.RESYNC),
            (EventKind.DIED, "crashed", Origin.RESYNC),
            (EventKind.DIED, "gone", Origin.RESYNC),
            (EventKind.REMOVED, "gone", Origin.RESYNC),
            (EventKind.STARTED, "new", Origin.RESYNC),
        ]
        died = next(event for event in bench.mirror.history if event.subject == crashed)
        assert died.attrs["exit_code"] == "3"
        assert bench.count("resync_events_total") == 5
        assert {row.ref.name: row.state for row in bench.mirror.listing().rows} == {
            "crashed": "exited",
            "same": "running",
            "new": "running",
        }


async def test_a_restart_while_away_is_noticed_by_its_age() -> None:
    bench = Bench()
    ref = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(100)
        bench.engine.cut()
        with bench.engine.untold():
            bench.engine.happen(EventKind.DIED, ref, exit_code="1")
            bench.engine.happen(EventKind.STARTED, ref)
        await bench.until(lambda: bench.count("resync_events_total") == 2)
        assert [kind for kind, _, _ in bench.told()] == [EventKind.DIED, EventKind.STARTED]


async def test_a_new_process_goes_on_from_the_cursor() -> None:
    bench = Bench()
    old = bench.engine.add("old")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(5)
        bench.engine.happen(EventKind.HEALTH, old, health="healthy")
        await asyncio.sleep(5)
    assert bench.shelf.kept == {"fake-fake": bench.engine.ring[-1].at_ns}
    await asyncio.sleep(10)
    bench.engine.happen(EventKind.DIED, old, exit_code="1")
    with bench.engine.untold():
        bench.engine.add("quiet")
    bench.restart()
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        assert sorted(bench.told()) == [
            (EventKind.CREATED, "quiet", Origin.RESYNC),
            (EventKind.DIED, "old", Origin.REPLAY),
            (EventKind.STARTED, "quiet", Origin.RESYNC),
        ]


@pytest.mark.parametrize("ahead_seconds", [300, 20 * 3600, 7_000_000_000], ids=["minutes", "hours", "the year 2248"])
async def test_an_event_from_the_future_does_not_hide_what_happens_after_a_restart(ahead_seconds: int) -> None:
    bench = Bench()
    web = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        real = bench.engine.happen(EventKind.HEALTH, web, health="healthy")
        bench.engine.tell(msgspec.structs.replace(real, at_ns=real.at_ns + ahead_seconds * 1_000_000_000))
        await asyncio.sleep(5)
        bench.engine.happen(EventKind.DIED, web, exit_code="1")
        await bench.until(lambda: bench.mirror.containers[web.id].state == "exited")
    assert bench.shelf.kept["fake-fake"] <= bench.now_ns()
    await asyncio.sleep(10)
    with bench.engine.untold():
        bench.engine.add("quiet")
    bench.restart()
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        assert {(EventKind.CREATED, "quiet"), (EventKind.STARTED, "quiet")} <= {each[:2] for each in bench.told()}
        bench.engine.happen(EventKind.STARTED, web)
        await bench.until(lambda: bench.mirror.containers[web.id].state == "running")
        await asyncio.sleep(2)
    assert bench.now_ns() - bench.shelf.kept["fake-fake"] < 60_000_000_000


async def test_a_removal_in_the_far_future_does_not_hide_the_next_container_of_that_id() -> None:
    bench = Bench()
    web = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        with bench.engine.untold():
            removed = bench.engine.happen(EventKind.REMOVED, web)
        bench.engine.tell(msgspec.structs.replace(removed, at_ns=(1 << 63) - 1))
        await bench.until(lambda: web.id not in bench.mirror.containers)
        await asyncio.sleep(5)
        bench.engine.tell(
            msgspec.structs.replace(removed, kind=EventKind.CREATED, at_ns=bench.now_ns(), action="create")
        )
        await bench.until(lambda: web.id in bench.mirror.reported())


async def test_an_engine_that_comes_late_is_found() -> None:
    bench = Bench()
    bench.engine.engine_id = ""
    bench.engine.reachable = False
    async with bench.watching():
        await asyncio.sleep(300)
        assert bench.count("stream_up") == 0
        bench.engine.add("web")
        bench.engine.reachable, bench.engine.engine_id = True, "late"
        await bench.until(lambda: bench.mirror.live)
        assert bench.told() == []
    assert set(bench.shelf.kept) == {"late"}


async def test_an_engine_that_stays_away_is_logged_once_an_hour_with_a_count() -> None:
    bench = Bench()
    bench.watch._random_fraction = lambda: 1.0
    bench.engine.reachable = False
    with structlog.testing.capture_logs() as logs:
        async with bench.watching():
            await asyncio.sleep(2 * 3600 + 100)
            failed = [line for line in logs if "could not be opened" in line["event"]]
            assert len(failed) == 3
            assert "times" not in failed[0]
            assert all(line["times"] > 100 for line in failed[1:])
            bench.engine.reachable = True
            await bench.until(lambda: bench.mirror.live)
            # A stream that is cut again and again, as by a proxy, is reported once too.
            for _ in range(20):
                bench.engine.cut()
                await asyncio.sleep(40)
                await bench.until(lambda: bench.mirror.live)
    assert sum("stream was opened" in line["event"] for line in logs) == 2
    assert sum("stream ended" in line["event"] for line in logs) == 1


async def test_attempts_grow_rarer_and_a_healthy_minute_forgives() -> None:
    bench = Bench()
    bench.watch._random_fraction = lambda: 1.0
    assert [round(bench.watch.pause_seconds(n), 1) for n in (0, 1, 2, 5, 8, 1000)] == [0.2, 0.4, 0.8, 6.4, 30.0, 30.0]
    bench.watch._random_fraction = lambda: 0.0
    assert bench.watch.pause_seconds(1000) == 0.2
    bench.watch._random_fraction = lambda: 1.0
    bench.engine.reachable = False
    async with bench.watching():
        await asyncio.sleep(600)
        assert 20 <= bench.engine.asked.count("subscribe") <= 30
        bench.engine.reachable = True
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(61)
        began = asyncio.get_running_loop().time()
        bench.engine.cut()
        await bench.until(lambda: not bench.mirror.live)
        await bench.until(lambda: bench.mirror.live)
        assert asyncio.get_running_loop().time() - began < 1


async def test_a_silent_stream_is_doubted_and_a_dead_one_left() -> None:
    bench = Bench()
    bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(100)
        assert bench.count("relists_total", outcome="ok") == 3
        assert bench.mirror.listing().age <= 45
        assert bench.count("resync_events_total") == 0
        bench.engine.reachable = False  # and the stream says nothing, as over a dead network
        await bench.until(lambda: not bench.mirror.live)
        assert bench.count("relists_total", outcome="failed") == 1
        bench.engine.reachable = True
        await bench.until(lambda: bench.mirror.live)


async def test_a_busy_stream_is_listed_every_five_minutes_only() -> None:
    bench = Bench()
    ref = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        for _ in range(31):
            await asyncio.sleep(20)
            bench.engine.happen(EventKind.HEALTH, ref, health="healthy")
        assert bench.count("relists_total", outcome="ok") == 3


async def test_a_flood_is_dropped_counted_and_made_good_by_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    ref = bench.engine.add("web")
    monkeypatch.setattr(event_queue, "MAX_EVENTS", 100)
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        for _ in range(300):  # no turn for anybody else in between
            bench.engine.happen(EventKind.HEALTH, ref, health="healthy")
        bench.engine.happen(EventKind.DIED, ref, exit_code="9")
        await bench.until(lambda: bench.count("stream_overflows_total") > 0)
        assert not bench.mirror.live
        await bench.until(lambda: bench.mirror.live)
        assert bench.mirror.containers[ref.id].state == "exited"
        counted = bench.count("events_total", type="container", action="health_status")
        died = bench.count("events_total", type="container", action="die")
        assert died == 1
        assert counted + bench.count("stream_overflows_total") >= 300


async def test_an_event_that_cannot_be_decoded_is_counted_and_made_good_by_a_list() -> None:
    bench = Bench()
    bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        lists = bench.count("relists_total", outcome="ok")
        bench.watch.data_skipped("field", 3)
        bench.watch.data_skipped("event", 2)
        assert not bench.mirror.live
        await bench.until(lambda: bench.mirror.live)
        assert bench.count("relists_total", outcome="ok") == lists + 1
        assert bench.count("engine_data_skipped_total", what="event") == 2
        assert bench.count("engine_data_skipped_total", what="field") == 3


async def test_ids_that_do_not_exist_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that sends events of ever new containers, none of which it has."""
    bench = Bench()
    ref = bench.engine.add("web")
    monkeypatch.setattr(engine_watcher, "MAX_DIRTY", 500)
    monkeypatch.setattr(relister, "MAX_DESCRIBED_AT_ONCE", 10)
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        real = bench.engine.happen(EventKind.HEALTH, ref, health="healthy")
        for round_number in range(20):
            for number in range(100):
                ghost = msgspec.structs.replace(ref, id=f"ghost-{round_number}-{number}", name=f"ghost-{number}")
                bench.engine.tell(msgspec.structs.replace(real, at_ns=real.at_ns + number, subject=ghost))
            await asyncio.sleep(0)
            assert len(bench.mirror.reported()) <= 1 + 600 + 100
        await bench.until(lambda: bench.count("stream_overflows_total") > 0)
        await bench.until(lambda: bench.mirror.live and len(bench.mirror.reported()) == 1)


async def test_a_store_that_is_down_is_said_once_and_does_not_stop_anything() -> None:
    bench = Bench()
    bench.shelf.down = True
    ref = bench.engine.add("web")
    with structlog.testing.capture_logs() as logs:
        async with bench.watching():
            await bench.until(lambda: bench.mirror.live)
            for _ in range(20):
                bench.engine.happen(EventKind.HEALTH, ref, health="healthy")
                await asyncio.sleep(2)
            assert bench.count("events_total", type="container", action="health_status") == 20
            bench.shelf.down = False
            await asyncio.sleep(2)
    assert sum("could not be read or saved" in line["event"] for line in logs) == 1
    assert sum("The position in the engine's events was saved again" in line["event"] for line in logs) == 1
    assert bench.shelf.kept == {"fake-fake": bench.engine.ring[-1].at_ns}


async def test_the_cursor_is_written_at_most_once_a_second() -> None:
    bench = Bench()
    ref = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        for _ in range(1000):
            await asyncio.sleep(0.01)
            bench.engine.happen(EventKind.HEALTH, ref, health="healthy")
    assert 5 <= bench.shelf.writes <= 13


async def test_bursts_about_one_container_take_few_looks() -> None:
    bench = Bench()
    ref = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        before = bench.engine.asked.count("describe")
        for _ in range(50):
            bench.engine.happen(EventKind.DIED, ref, exit_code="1")
            bench.engine.happen(EventKind.STARTED, ref)
        await asyncio.sleep(1)
        assert 1 <= bench.engine.asked.count("describe") - before <= 2


async def test_one_container_that_cannot_be_inspected_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    describe = bench.engine.describe

    async def broken(ids: Any, deadline: float) -> Any:
        found = await describe(ids, deadline)
        if any(row is not None and row.ref.name == "odd" for row in found.values()):
            raise errors.Rejected(500, "layer does not exist")
        return found

    monkeypatch.setattr(bench.engine, "describe", broken)
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        bench.engine.add("odd")
        good = bench.engine.add("good")
        await bench.until(lambda: good.id in bench.mirror.containers)
        assert not bench.mirror.live  # the odd one's labels are unknown: the engine answers
        await bench.until(lambda: bench.mirror.live)  # the next list has them


async def test_a_stream_that_never_opens_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    async def mute(since_ns: int | None) -> AsyncIterator[list[Event]]:
        await asyncio.sleep(1_000_000)
        yield []

    monkeypatch.setattr(bench.engine, "events", mute)
    assert await bench.watch.connect_once() == 0.0
    assert asyncio.get_running_loop().time() == pytest.approx(15, abs=1)


async def test_a_bug_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    async def broken(since_ns: int | None) -> AsyncIterator[list[Event]]:
        yield []
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(bench.engine, "events", broken)
    with pytest.raises(ExceptionGroup) as caught:
        await bench.watch.connect_once()
    assert caught.group_contains(RuntimeError, match="a bug of ours")
    assert not bench.mirror.live


async def test_a_watch_starts_again_after_a_bug_that_shows_when_the_stream_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench, runs, described = Bench(), 0, relister.Relister.inspect_forever

    async def inspect_forever(self: relister.Relister) -> None:
        nonlocal runs
        runs += 1
        try:
            await described(self)
        finally:
            if runs == 1:
                raise KeyError("a bug that only the end of the stream shows")

    monkeypatch.setattr(relister.Relister, "inspect_forever", inspect_forever)
    restarts: list[tuple[str, str]] = []  # with what the mirror says then: the next run may begin at once
    restarted = lambda name: restarts.append((name, bench.mirror.not_live_reason))  # noqa: E731
    async with supervise.Supervisor(on_restart=restarted) as supervisor:
        supervisor.start_background("watch", bench.watch.run, supervise.Backoff())
        await bench.until(lambda: bench.mirror.live)
        bench.engine.cut()
        await bench.until(lambda: restarts)
        await bench.until(lambda: bench.mirror.live)
        bench.engine.add("web")
        await bench.until(lambda: [row.ref.name for row in bench.mirror.containers.values()] == ["web"])
    ((name, bug),) = restarts
    assert name == "watch"
    assert bug.startswith(f"Watching {bench.mirror.ref} failed because of a bug in Quarterdeck. Report the error")


class Clustered(BaseAdapter):
    """An engine without containers, as a Swarm is."""

    engine_id = "k1"
    fault = ""

    def __init__(self) -> None:
        super().__init__(EngineRef(host="k1", kind="swarm"))
        self.streams: list[asyncio.Event] = []

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        return Engine(ref=self.ref, address="", verbs=(), fault=self.fault)

    async def describe(self, ids: Any, deadline: float) -> Any:
        return {}

    async def events(self, since_ns: int | None) -> AsyncIterator[list[Event]]:
        self.streams.append(asyncio.Event())
        yield []
        await self.streams[-1].wait()


async def test_an_engine_without_a_list_is_asked_how_it_does() -> None:
    bench, engine = Bench(), Clustered()
    counts, mirror = metrics.Metrics(), Mirror(engine, now=bench.now)
    watched = engine_watcher.EngineWatcher(
        engine, mirror, EventProcessor(mirror, counts), bench.shelf, counts, now_ns=bench.now_ns
    )
    bench.watch = watched

    def up() -> float | None:
        return counts.registry.get_sample_value("quarterdeck_stream_up", {"host": "k1", "engine": "swarm"})

    async with bench.watching():
        await bench.until(lambda: mirror.live)
        assert up() == 1
        # Silence is doubted; it has no list, and is asked how it does.
        await asyncio.sleep(200)
        assert len(engine.streams) == 1
        engine.fault = "It has no leader."
        await bench.until(lambda: not mirror.live)
        assert up() == 0
        engine.fault = ""
        await bench.until(lambda: mirror.live, 120)
        assert up() == 1
