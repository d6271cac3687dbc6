"""The mirror: what it serves and when, and what events, lists and inspections each change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from core import errors
from core.model import actions, event_actions
from core.model.containers import Container
from core.model.end_causes import Cause, CauseKind
from core.model.engines import Engine
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Call
from runtimes.inventory import event_history, state_updates
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime

CALL = Call(id="1", who="test", deadline=datetime.now(UTC) + timedelta(hours=1), invocation="")


class Clock:
    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


async def mirrored(*names: str, clock: Clock | None = None) -> tuple[FakeRuntime, Mirror, dict[str, Ref]]:
    clock = clock or Clock()
    engine = FakeRuntime(now=clock)
    refs = {name: engine.add(name) for name in names}
    mirror = Mirror(engine, now=clock)
    mirror.stream_opened(int(clock() * 1e9))
    mirror.replace(engine.containers.values(), engine.ring[-1].at_ns if engine.ring else 0)
    return engine, mirror, refs


async def rows(mirror: Mirror, *, fresh: bool = False) -> Any:
    return await mirror.run(actions.ListContainers(engine=mirror.ref, fresh=fresh), CALL)


async def test_lists_come_from_memory_only_while_the_stream_stands_and_the_list_is_whole() -> None:
    engine, mirror, _ = await mirrored("web")
    assert (await rows(mirror)).source == "mirror"
    assert engine.asked == []
    assert (await rows(mirror, fresh=True)).source == "engine"
    mirror.stream_lost()
    assert (await rows(mirror)).source == "engine"
    mirror.stream_opened(0)
    assert (await rows(mirror)).source == "engine"
    mirror.replace(engine.containers.values(), engine.ring[-1].at_ns)
    assert (await rows(mirror)).source == "mirror"
    mirror.events_lost(engine.ring[-1].at_ns)
    assert (await rows(mirror)).source == "engine"


async def test_the_age_is_the_time_since_anything_was_heard() -> None:
    clock = Clock()
    engine, mirror, refs = await mirrored("web", clock=clock)
    clock.at += 20
    assert mirror.listing().age == 20
    mirror.apply_events([engine.happen(EventKind.HEALTH, refs["web"], health="healthy")])
    assert mirror.listing().age == 0


async def test_the_hosts_allow_list_holds_for_memory_too() -> None:
    engine = FakeRuntime(allow=["container.logs"])
    mirror = Mirror(engine)
    mirror.stream_opened(0)
    mirror.replace((), 0)
    with pytest.raises(errors.Disallowed):
        await rows(mirror)
    with pytest.raises(errors.Disallowed):
        await mirror.run(event_actions.ListEvents(engine=mirror.ref), CALL)


async def test_what_happened_is_told_of_an_engine_that_remembers_nothing_itself() -> None:
    engine = FakeRuntime(lacks=("event.list",))
    mirror = Mirror(engine)
    assert "event.list" not in engine.verbs
    assert "event.list" in mirror.verbs
    told = await mirror.run(actions.DescribeEngine(engine=mirror.ref), CALL)
    assert "event.list" in told.verbs
    web = engine.add("web")
    mirror.add_to_history([engine.happen(EventKind.STARTED, web)])
    listed = await mirror.run(event_actions.ListEvents(engine=mirror.ref), CALL)
    assert [event.kind for event in listed.rows] == [EventKind.STARTED]
    tight = Mirror(FakeRuntime(lacks=("event.list",), allow=["container.*"]))
    assert "event.list" not in tight.verbs
    with pytest.raises(errors.Unsupported):
        await tight.run(event_actions.ListEvents(engine=tight.ref), CALL)


async def test_an_id_that_is_a_name_comes_again_after_it_was_removed() -> None:
    engine, mirror, refs = await mirrored("web")
    known = mirror.containers[refs["web"].id]
    removed = engine.happen(EventKind.REMOVED, refs["web"])
    mirror.apply_events([removed])
    born = msgspec.structs.replace(removed, kind=EventKind.CREATED, at_ns=removed.at_ns + 1)
    late = msgspec.structs.replace(removed, kind=EventKind.CREATED, at_ns=removed.at_ns - 1)
    mirror.apply_events([late])
    assert not mirror.dirty
    mirror.apply_events([born])
    assert refs["web"].id in mirror.dirty
    # Or no event told of it, and a list does.
    mirror.apply_events([msgspec.structs.replace(removed, at_ns=removed.at_ns + 2)])
    old = msgspec.structs.replace(known, created_at=removed.at_ns / 1e9 - 5)
    mirror.replace([old], removed.at_ns + 3)
    assert refs["web"].id not in mirror.containers
    new = msgspec.structs.replace(old, created_at=removed.at_ns / 1e9 + 5)
    mirror.replace([new], removed.at_ns + 4)
    assert mirror.containers[refs["web"].id] == new


async def test_everything_else_goes_to_the_engine() -> None:
    engine, mirror, refs = await mirrored("web")
    outcome = await mirror.run(actions.Stop(engine=mirror.ref, target=refs["web"]), CALL)
    assert outcome.status == "done"
    assert engine.containers[refs["web"].id].state == "exited"
    assert mirror.verbs == engine.verbs
    stream = mirror.events(None)
    assert await anext(stream) == ()
    await stream.aclose()  # type: ignore[attr-defined]


async def test_events_change_what_they_say() -> None:
    engine, mirror, refs = await mirrored("web")
    web = refs["web"]

    def after(kind: EventKind, **attrs: str) -> Container:
        mirror.apply_events([engine.happen(kind, web, **attrs)])
        return mirror.containers[web.id]

    assert after(EventKind.HEALTH, health="unhealthy").health == "unhealthy"
    assert after(EventKind.PAUSED).state == "paused"
    assert after(EventKind.UNPAUSED).state == "running"
    assert after(EventKind.OOM).oom_killed is True
    died = after(EventKind.DIED, exit_code="137")
    assert (died.state, died.exit_code, died.health, died.oom_killed) == ("exited", 137, "", True)
    assert died.finished_at == pytest.approx(engine.ring[-1].at_ns / 1e9)
    started = after(EventKind.STARTED)
    assert (started.state, started.exit_code, started.oom_killed) == ("running", None, False)
    renamed = Ref(engine=web.engine, kind=web.kind, id=web.id, name="www")
    mirror.apply_events([engine.happen(EventKind.RENAMED, renamed, old_name="web")])
    assert mirror.containers[web.id].ref.name == "www"
    mirror.apply_events([engine.happen(EventKind.REMOVED, web)])
    assert web.id not in mirror.containers
    assert mirror.pop_dirty(10) == []


async def test_a_container_known_from_events_alone_is_not_served() -> None:
    engine, mirror, _ = await mirrored("old")
    new = engine.add("new", labels={"quarterdeck.protected": "true"})
    mirror.apply_events(list(engine.ring)[-2:])
    assert not mirror.live  # its labels, which decide what may be done to it, are unknown
    assert new.id not in mirror.containers
    assert [row.labels for row in (await rows(mirror)).rows if row.ref == new] == [{"quarterdeck.protected": "true"}]
    assert mirror.pop_dirty(10) == [new.id]
    mirror.apply_inspections(await engine.describe([new.id], 1), engine.ring[-1].at_ns)
    assert mirror.live
    assert mirror.containers[new.id].labels == {"quarterdeck.protected": "true"}


async def test_what_a_list_leaves_out_keeps_what_an_inspection_found() -> None:
    engine, mirror, refs = await mirrored("web")
    before = mirror.containers[refs["web"].id]
    version = mirror.version
    listed = await engine.run(actions.ListContainers(engine=mirror.ref), CALL)
    assert listed.rows[0].restarts is None
    mirror.replace(listed.rows, engine.ring[-1].at_ns)
    assert mirror.containers[refs["web"].id] is before
    assert mirror.version == version


async def test_that_a_container_has_rm_is_known_from_its_inspection_in_every_list() -> None:
    engine, mirror, refs = await mirrored("web")
    plain = engine.containers[refs["web"].id]
    listed = [msgspec.structs.replace(plain, auto_remove=None, restarts=None)]
    mirror.replace(listed, engine.ring[-1].at_ns)
    mirror.apply_inspections({plain.ref.id: msgspec.structs.replace(plain, auto_remove=True)}, engine.ring[-1].at_ns)
    mirror.replace(listed, engine.ring[-1].at_ns)
    engine.containers[plain.ref.id] = listed[0]
    for fresh in (False, True):
        assert [row.auto_remove for row in (await rows(mirror, fresh=fresh)).rows] == [True]
    mirror.stream_lost()
    assert [row.auto_remove for row in (await rows(mirror)).rows] == [True]


async def test_a_removed_id_stays_removed() -> None:
    engine, mirror, refs = await mirrored("web")
    old_list = list(engine.containers.values())
    at = engine.ring[-1].at_ns
    started = engine.ring[-1]
    mirror.apply_events([engine.happen(EventKind.REMOVED, refs["web"])])
    mirror.replace(old_list, at)
    mirror.apply_events([started])
    mirror.apply_inspections({refs["web"].id: old_list[0]}, at)
    assert mirror.listing().rows == ()
    assert mirror.live


async def test_a_list_older_than_the_last_changes_nothing() -> None:
    engine, mirror, refs = await mirrored("web")
    old_list, at = list(engine.containers.values()), engine.ring[-1].at_ns
    engine.happen(EventKind.DIED, refs["web"])
    mirror.replace(engine.containers.values(), engine.ring[-1].at_ns)
    mirror.replace(old_list, at)
    assert mirror.containers[refs["web"].id].state == "exited"


async def test_the_tuple_is_kept_until_something_changes_or_a_second_passes() -> None:
    clock = Clock()
    engine, mirror, refs = await mirrored("web", "db", clock=clock)
    first = mirror.listing().rows
    assert mirror.listing().rows is first
    clock.at += 61
    second = mirror.listing().rows
    assert [row.status for row in second] == ["Up About a minute"] * 2
    mirror.apply_events([engine.happen(EventKind.DIED, refs["db"], exit_code="2")])
    assert [row.status for row in mirror.listing().rows] == ["Up About a minute", "Exited (2) Less than a second ago"]


async def test_events_come_from_memory_where_it_reaches_back_far_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    engine, mirror, refs = await mirrored("web", clock=clock)
    stood = int(clock.at * 1e9)
    clock.at += 10
    died = engine.happen(EventKind.DIED, refs["web"])
    mirror.add_to_history([died])

    async def listed(since: int, limit: int = 1000) -> list[EventKind]:
        action = event_actions.ListEvents(engine=mirror.ref, since_ns=since, limit=limit)
        return [event.kind for event in (await mirror.run(action, CALL)).rows]

    assert await listed(stood) == [EventKind.DIED]
    assert engine.asked == []
    assert await listed(0) == [EventKind.CREATED, EventKind.STARTED, EventKind.DIED]
    assert engine.asked == ["events"]
    assert await listed(0, limit=2) == [EventKind.STARTED, EventKind.DIED]
    mirror.events_lost(died.at_ns + 1)
    mirror.replace(engine.containers.values(), died.at_ns)
    engine.asked.clear()
    await listed(stood)
    assert engine.asked == ["events"]


async def test_the_history_is_bounded_and_says_how_far_it_reaches() -> None:
    engine, mirror, refs = await mirrored("web")
    stood = int(1_800_000_000.0 * 1e9)
    events = [
        engine.happen(EventKind.HEALTH, refs["web"], health="healthy") for _ in range(event_history.CAPACITY + 10)
    ]
    mirror.add_to_history(events)
    assert len(mirror.history) == event_history.CAPACITY
    await mirror.run(event_actions.ListEvents(engine=mirror.ref, since_ns=events[10].at_ns), CALL)
    assert engine.asked == []
    await mirror.run(event_actions.ListEvents(engine=mirror.ref, since_ns=stood), CALL)
    assert engine.asked == ["events"]


async def test_probes_do_not_flush_the_history() -> None:
    _, mirror, refs = await mirrored("web")
    probe = Event(1, EventKind.OTHER, refs["web"], Origin.LIVE, "container", "exec_start", {})
    attach = Event(2, EventKind.OTHER, refs["web"], Origin.LIVE, "container", "attach", {})
    mirror.add_to_history([probe, attach])
    mirror.apply_events([probe, attach])
    assert list(mirror.history) == [attach]


async def test_an_old_event_heard_again_changes_nothing_but_asks_for_another_look() -> None:
    engine, mirror, refs = await mirrored("web")
    started = engine.ring[-1]
    mirror.apply_events([engine.happen(EventKind.DIED, refs["web"], exit_code="1")])
    mirror.pop_dirty(10)
    mirror.apply_events([started])
    assert mirror.containers[refs["web"].id].state == "exited"
    assert mirror.pop_dirty(10) == [refs["web"].id]


async def test_an_inspection_begun_before_a_list_does_not_undo_it() -> None:
    engine, mirror, refs = await mirrored("web")
    web = refs["web"].id
    begun, found = engine.ring[-1].at_ns, await engine.describe([web], 1)
    mirror.apply_events([engine.happen(EventKind.DIED, refs["web"], exit_code="3")])
    mirror.replace(engine.containers.values(), engine.ring[-1].at_ns)
    mirror.pop_dirty(10)
    mirror.apply_inspections(found, begun)
    assert mirror.containers[web].state == "exited"
    assert mirror.pop_dirty(10) == [web]
    mirror.apply_inspections(await engine.describe([web], 1), engine.ring[-1].at_ns)
    assert mirror.containers[web] == engine.containers[web]


async def test_an_inspection_begun_before_a_list_does_not_bring_back_what_the_list_left_out() -> None:
    engine, mirror, refs = await mirrored("web", "db")
    begun, found = engine.ring[-1].at_ns, await engine.describe([refs["web"].id], 1)
    mirror.apply_events([engine.happen(EventKind.DIED, refs["db"])])
    with engine.untold():
        engine.happen(EventKind.REMOVED, refs["web"])
    mirror.replace(engine.containers.values(), engine.ring[-1].at_ns)
    mirror.apply_inspections(found, begun)
    assert list(mirror.containers) == [refs["db"].id]
    assert mirror.live


async def test_whatever_event_a_container_is_first_known_from_it_is_looked_at() -> None:
    engine, mirror, _ = await mirrored("old")
    new = engine.add("new")
    mirror.apply_events([engine.happen(EventKind.KILLED, new, signal="HUP")])
    assert not mirror.live
    assert mirror.pop_dirty(10) == [new.id]


async def test_an_engine_is_described_with_how_its_stream_does() -> None:
    clock = Clock()
    engine, mirror, _ = await mirrored("web", clock=clock)
    began = clock()

    async def told() -> Engine:
        return await mirror.run(actions.DescribeEngine(engine=mirror.ref), CALL)

    assert ((await told()).stream, (await told()).stream_since, (await told()).containers) == ("up", began, 1)
    clock.at += 60
    mirror.stream_opened(0)
    assert (await told()).stream_since == began, "a stream that stands goes on standing"
    engine.reachable = False
    mirror.stream_lost("It is away.")
    clock.at += 60
    mirror.stream_lost("It is still away.")
    down = await told()
    assert (down.stream, down.stream_since, down.stream_fault) == ("down", began + 60, "It is still away.")
    assert "does not answer" in down.fault
    assert down.verbs
    engine.reachable = True
    mirror.stream_opened(0)
    assert ((await told()).stream_fault, (await told()).stream_since) == ("", began + 120)


async def test_a_check_of_health_without_its_result_is_looked_into_and_not_remembered() -> None:
    engine, mirror, refs = await mirrored("web")
    mirror.apply_events([engine.happen(EventKind.HEALTH, refs["web"], health="healthy")])
    mirror.pop_dirty(10)
    said = msgspec.structs.replace(engine.happen(EventKind.HEALTH, refs["web"], health="unhealthy"), attrs={})
    mirror.add_to_history([said])
    mirror.apply_events([said])
    assert mirror.containers[refs["web"].id].health == "healthy"
    assert list(mirror.dirty) == [refs["web"].id]
    assert not mirror.history


@pytest.mark.parametrize("code", ["--5", "", "5 ", "٣", "1" * 5000, "x"])
def test_an_exit_code_that_is_none_is_unknown(code: str) -> None:
    ref = Ref(engine=EngineRef(host="h", kind="fake"), kind=Kind.CONTAINER, id="a", name="web")
    died = Event(5, EventKind.DIED, ref, Origin.LIVE, "container", "die", {"exit_code": code})
    row = state_updates.apply_event(state_updates.from_first_event(died), died)
    assert (row.state, row.exit_code) == ("exited", None)


async def test_an_inspection_says_when_and_why_the_container_ended_last() -> None:
    engine, mirror, refs = await mirrored("web", "api")
    inspect = actions.InspectContainer(engine=engine.ref, target=refs["web"])
    assert "Last end" not in (await mirror.run(inspect, CALL)).summary
    older = engine.happen(EventKind.DIED, refs["web"], exit_code="1")
    engine.happen(EventKind.STARTED, refs["web"])
    died = engine.happen(EventKind.DIED, refs["web"], exit_code="137")
    other = engine.happen(EventKind.DIED, refs["api"], exit_code="0")
    mirror.add_to_history([older, died, other])
    assert (await mirror.run(inspect, CALL)).summary["Last end"].endswith("Z: the cause is not known")
    mirror.history.awaits_cause = lambda end: end is died
    assert (await mirror.run(inspect, CALL)).summary["Last end"].endswith("Z: the cause is not known yet")
    mirror.history.set_cause(older, Cause(kind=CauseKind.CRASHED, text="crashed with code 1"))
    mirror.history.set_cause(died, Cause(kind=CauseKind.REQUESTED, text="stopped by request", by="slack:T1/ANN"))
    told = (await mirror.run(inspect, CALL)).summary
    assert told["Last end"] == "2027-01-15T08:00:00Z: stopped by request (slack:T1/ANN)"
    assert list(told).index("Last end") == 2
