"""Gaps: each time without events is reported once, with its reason and with what is known of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from collectors import event_queue
from core import errors
from core.model import gaps
from core.model.events import EventKind, Origin
from core.model.gaps import GapReason, Recovery
from core.model.refs import EngineRef
from core.store.records import WatchUpdate
from tests.fake_engine.core import RING
from tests.helpers.watch_bench import Bench

pytestmark = pytest.mark.looptime


@contextlib.asynccontextmanager
async def away(bench: Bench, seconds: float = 10.0) -> AsyncIterator[None]:
    """Cuts the stream, and keeps the engine unreachable during the block and for so long."""
    bench.engine.reachable = False
    bench.engine.cut()
    await bench.until(lambda: not bench.mirror.live)
    yield
    await asyncio.sleep(seconds)
    bench.engine.reachable = True
    await bench.until(lambda: bench.mirror.live)


async def test_a_cut_whose_events_are_all_replayed_is_one_gap_that_says_so() -> None:
    bench = Bench()
    web = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        bench.engine.happen(EventKind.HEALTH, web, health="healthy")
        await bench.until(bench.told)
        began = bench.now_ns()
        async with away(bench):
            bench.engine.happen(EventKind.DIED, web, exit_code="1")
        await bench.until(bench.gaps)
        await asyncio.sleep(700)
    (gap,) = bench.gaps()
    assert (gap.reason, gap.recovery, gap.replayed, gap.resynced) == (GapReason.STREAM_LOST, Recovery.REPLAYED, 1, 0)
    assert began <= gap.from_ns < began + 1e9
    assert 10 <= gap.seconds <= 45
    assert gap.engine == bench.engine.ref and gap.engine_id == "fake-fake"
    assert "does not answer" in gap.why
    assert bench.count("stream_gaps_total", reason="stream_lost", recovery="replayed") == 1
    assert bench.count("stream_gap_seconds_total", reason="stream_lost", recovery="replayed") == gap.seconds
    assert bench.count("stream_replayed_events_total") == 1
    assert bench.count("stream_duplicate_events_total") >= 1, "the overlap was sent again"
    assert bench.count("stream_reconnects_total") == bench.count("stream_connects_total") - 1 == 1


async def test_more_missed_events_than_the_engine_stores_are_a_gap_that_only_a_list_ends() -> None:
    bench = Bench()
    web, goes = bench.engine.add("web"), bench.engine.add("goes")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        bench.engine.happen(EventKind.HEALTH, web, health="healthy")
        await bench.until(bench.told)
        async with away(bench):
            bench.engine.happen(EventKind.DIED, goes, exit_code="3")
            bench.engine.happen(EventKind.REMOVED, goes)
            for _ in range(RING + 10):
                bench.engine.happen(EventKind.UPDATED, web)
        await bench.until(bench.gaps)
    (gap,) = bench.gaps()
    assert (gap.recovery, gap.replayed, gap.resynced) == (Recovery.RESYNCED, RING, 2)
    assert [told for told in bench.told() if told[1] == "goes"] == [
        (EventKind.DIED, "goes", Origin.RESYNC),
        (EventKind.REMOVED, "goes", Origin.RESYNC),
    ]


async def test_a_new_container_whose_end_alone_is_replayed_was_created_and_started_too() -> None:
    bench = Bench()
    bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        async with away(bench):
            new = bench.engine.add("new")
            bench.engine.ring.clear()  # a daemon that was restarted stores its events from then on
            bench.engine.happen(EventKind.DIED, new, exit_code="137")
        await bench.until(bench.gaps)
        await asyncio.sleep(700)
    assert sorted(bench.told()) == [
        (EventKind.CREATED, "new", Origin.RESYNC),
        (EventKind.DIED, "new", Origin.REPLAY),
        (EventKind.STARTED, "new", Origin.RESYNC),
    ]


async def test_a_stream_that_is_lost_again_before_the_list_ends_is_the_same_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        bench.engine.slow = 1.0
        for _ in range(5):
            bench.engine.cut()
            await bench.until(lambda: bench.engine.streams == 0)
            await bench.until(lambda: bench.engine.streams == 1)
        assert not bench.gaps()
        bench.engine.slow = 0.0
        await bench.until(bench.gaps)
    assert len(bench.gaps()) == 1
    assert bench.count("stream_connects_total") > 3


async def test_dropped_and_unreadable_events_are_gaps_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    web = bench.engine.add("web")
    monkeypatch.setattr(event_queue, "MAX_EVENTS", 100)
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        for _ in range(300):
            last = bench.engine.happen(EventKind.HEALTH, web, health="healthy")
        await bench.until(bench.gaps)
        (dropped,) = bench.gaps()
        assert (dropped.reason, dropped.recovery) == (GapReason.EVENTS_DROPPED, Recovery.RESYNCED)
        assert dropped.from_ns <= dropped.until_ns <= last.at_ns
        bench.watch.data_skipped("event", 2)
        await bench.until(lambda: len(bench.gaps()) == 2)
        assert bench.gaps()[1].reason is GapReason.EVENTS_UNREADABLE
        bench.watch.data_skipped("field", 2)
        await asyncio.sleep(400)
    assert len(bench.gaps()) == 2


async def test_a_dead_connection_is_a_gap_from_the_last_sign_of_life_on() -> None:
    bench = Bench()
    bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(100)
        heard = bench.mirror.last_contact
        bench.engine.reachable = False  # and the stream stays silent
        await bench.until(lambda: not bench.mirror.live)
        bench.engine.reachable = True
        await bench.until(bench.gaps)
    (gap,) = bench.gaps()
    assert gap.from_ns == int(heard * 1e9)
    assert gap.seconds > 40


async def test_the_first_start_and_an_orderly_life_have_no_gap() -> None:
    bench = Bench()
    web = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        for _ in range(50):
            await asyncio.sleep(20)
            bench.engine.happen(EventKind.HEALTH, web, health="healthy")
    assert not bench.gaps()
    assert bench.count("engine_up") == 1


async def test_a_process_that_was_away_reports_that_nobody_watched_and_what_changed() -> None:
    bench = Bench()
    crashed, gone = bench.engine.add("crashed"), bench.engine.add("gone", labels={"team": "a"})
    bench.engine.add("same")
    await asyncio.sleep(5)
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(30)
    stopped = bench.now_ns()
    with bench.engine.untold():
        bench.engine.happen(EventKind.DIED, crashed, exit_code="3")
        bench.engine.happen(EventKind.DIED, gone)
        bench.engine.happen(EventKind.REMOVED, gone)
        await asyncio.sleep(100)
        bench.engine.add("new")
    bench.restart()
    async with bench.watching():
        await bench.until(bench.gaps)
        assert sorted(bench.told()) == [
            (EventKind.CREATED, "new", Origin.RESYNC),
            (EventKind.DIED, "crashed", Origin.RESYNC),
            (EventKind.DIED, "gone", Origin.RESYNC),
            (EventKind.REMOVED, "gone", Origin.RESYNC),
            (EventKind.STARTED, "new", Origin.RESYNC),
        ]
        (gap,) = bench.gaps()
        assert (gap.reason, gap.recovery, gap.resynced) == (GapReason.NOT_WATCHED, Recovery.RESYNCED, 5)
        assert abs(gap.from_ns - stopped) < 1e6
        assert 100 <= gap.seconds < 101
        await asyncio.sleep(30)
    # The next one finds nothing: what it missed was reported, and the containers were saved.
    bench.restart()
    async with bench.watching():
        await bench.until(bench.gaps)
        assert not bench.told()
        assert len(bench.gaps()) == 1


async def test_a_killed_process_leaves_a_gap_of_a_few_seconds_more(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(33)
        saved = bench.shelf.records["fake-fake"]
    bench.shelf.records["fake-fake"] = saved  # as if the end had saved nothing
    killed = bench.now_ns()
    bench.restart()
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(2)
        assert not bench.gaps(), "another process might watch"
        await bench.until(bench.gaps)
    (gap,) = bench.gaps()
    assert 0 <= killed - gap.from_ns <= 6e9
    assert gap.seconds < 10


async def test_another_process_that_watches_is_no_gap_and_one_that_has_ended_is() -> None:
    bench = Bench()
    bench.engine.add("web")
    await asyncio.sleep(5)
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(33)
        first = bench.mirror
        bench.restart()
        async with bench.watching():
            await bench.until(lambda: bench.mirror.live)
            await asyncio.sleep(60)
            assert not bench.gaps()
            assert first.live
    # Both have ended. Two that start together report the same gap, as one fact.
    await asyncio.sleep(60)
    found = []
    bench.restart()
    async with bench.watching():
        one = bench.mirror
        bench.restart()
        async with bench.watching():
            await bench.until(lambda: one.live and bench.mirror.live)
            await asyncio.sleep(30)
            found = [event for mirror in (one, bench.mirror) for event in mirror.history]
    assert [event.kind for event in found] == [EventKind.GAP, EventKind.GAP]
    assert found[0].identity() == found[1].identity()


async def test_a_process_that_dies_before_it_could_report_a_gap_leaves_it_to_the_next() -> None:
    bench = Bench()
    web = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(30)
    stopped = bench.now_ns()
    await asyncio.sleep(60)
    bench.restart()
    bench.engine.slow = 11.0  # it never answers a list in time
    async with bench.watching():
        await asyncio.sleep(120)
    assert not bench.gaps()
    bench.engine.slow = 0.0
    bench.engine.happen(EventKind.DIED, web, exit_code="1")
    bench.restart()
    async with bench.watching():
        await bench.until(bench.gaps)
    (gap,) = bench.gaps()
    assert abs(gap.from_ns - stopped) < 1e6
    assert gap.seconds > 180


async def test_without_saved_containers_what_happened_is_lost() -> None:
    bench = Bench()
    bench.engine.add("web")
    await bench.shelf.update_watch("fake-fake", WatchUpdate(watcher="old", cursor=bench.now_ns()))
    bench.engine.ring.clear()
    bench.restart()
    async with bench.watching():
        await bench.until(bench.gaps)
    assert [gap.recovery for gap in bench.gaps()] == [Recovery.LOST]


async def test_an_engine_that_does_not_answer_is_down_and_its_series_go_with_it() -> None:
    bench = Bench()
    bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(20)
        assert bench.count("engine_up") == 1
        assert 0 <= bench.count("stream_cursor_age_seconds") < 7
        bench.engine.reachable = False
        bench.engine.cut()
        await bench.until(lambda: bench.count("engine_up") == 0)
        await asyncio.sleep(60)
        assert bench.count("stream_cursor_age_seconds") > 60
        bench.engine.reachable = True
        await bench.until(lambda: bench.count("engine_up") == 1)
    bench.counts.remove_engine("fake", "fake")
    left = [
        sample for family in bench.counts.registry.collect() for sample in family.samples if "host" in sample.labels
    ]
    assert not left


async def test_the_lag_of_live_events_is_sampled_and_that_of_replayed_ones_is_not() -> None:
    bench = Bench()
    web = bench.engine.add("web")
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        for _ in range(100):
            bench.engine.happen(EventKind.HEALTH, web, health="healthy")
            await asyncio.sleep(0.01)
        sampled = bench.count("stream_lag_seconds_count")
        assert 10 <= sampled <= 21
        late = msgspec.structs.replace(bench.engine.ring[-1], at_ns=bench.now_ns() - 3 * 10**9, origin=Origin.LIVE)
        bench.engine.tell(late)
        await bench.until(lambda: bench.count("stream_lag_seconds_count") > sampled)
        assert bench.count("stream_lag_seconds_sum") >= 3
        async with away(bench):
            bench.engine.happen(EventKind.DIED, web)
        await bench.until(bench.gaps)
        assert bench.count("stream_lag_seconds_count") == sampled + 1


def test_a_gap_is_the_same_after_its_event() -> None:
    gap = gaps.Gap(
        engine=EngineRef(host="h", kind="docker"),
        engine_id="id",
        from_ns=5,
        until_ns=7,
        reason=GapReason.STREAM_LOST,
        recovery=Recovery.LOST,
        why="x" * 1000,
        replayed=1,
        resynced=2,
    )
    event = gap.to_event()
    assert gaps.from_event(event) == msgspec.structs.replace(gap, why="x" * gaps.MAX_WHY)
    assert gap.text == "the event stream was lost; what happened is not known"
    for damaged in ({}, event.attrs | {"reason": "?"}, event.attrs | {"until_ns": "x"}):
        with pytest.raises(ValueError):
            gaps.from_event(msgspec.structs.replace(event, attrs=damaged))
    with pytest.raises(ValueError, match="describes no gap"):
        gaps.from_event(msgspec.structs.replace(event, kind=EventKind.DIED))


@pytest.mark.parametrize("error", [errors.StoreDown, errors.StoreFull("It is full.")])
async def test_a_store_that_fails_does_not_stop_the_watch(error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.engine.add("web")

    async def update_watch(engine: str, update: WatchUpdate, /) -> None:
        if update.changed or error is errors.StoreDown:
            raise error
        await type(bench.shelf).update_watch(bench.shelf, engine, update)

    monkeypatch.setattr(bench.shelf, "update_watch", update_watch)
    async with bench.watching():
        await bench.until(lambda: bench.mirror.live)
        await asyncio.sleep(20)
        assert bench.mirror.live
        assert bool(bench.shelf.records) == (error is not errors.StoreDown)
        monkeypatch.undo()
        await asyncio.sleep(10)
    assert len(bench.shelf.records["fake-fake"].containers) == 1
