"""What became of containers that were just started, on fake loop time: by polling, and by the events of a mirror."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from core import errors
from core.model.background_jobs import ReadJob
from core.model.events import EventKind
from core.model.refs import Ref
from core.model.verification import MAX_SECONDS, RunState, RunVerdict, VerifyRuns
from core.ports import Call
from runtimes.base import run_verification
from runtimes.inventory import verification_evidence
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime

pytestmark = pytest.mark.looptime


def call() -> Call:
    return Call(id="c", who="ann", deadline=datetime.now(UTC) + timedelta(hours=1), invocation="i")


def change(engine: FakeRuntime, ref: Ref, **fields: Any) -> None:
    """What the engine says of a container from now on, without an event."""
    engine.containers[ref.id] = msgspec.structs.replace(engine.containers[ref.id], **fields)


async def verdicts(
    engine: Any, *refs: Ref, started: bool = True, then: Callable[[], Any] | None = None, after: float = 0.0
) -> dict[str, RunVerdict]:
    """The verdicts by name. `then` happens `after` so many seconds."""
    job = (await engine.run(VerifyRuns(engine=engine.ref, runs=refs, started=started), call())).job
    if then is not None:
        asyncio.get_running_loop().call_later(after, then)
    found: dict[str, RunVerdict] = {}
    cursor = ""
    while True:
        page = await engine.run(ReadJob(engine=engine.ref, job=job, cursor=cursor, wait=1.0), call())
        cursor = page.cursor
        for line in page.lines:
            verdict = run_verification.decode(line)
            assert verdict is not None and verdict.ref.name not in found
            found[verdict.ref.name] = verdict
        if page.outcome is not None:
            assert page.outcome.status == "done"
            return found


async def one(*given: Any, **more: Any) -> RunVerdict:
    (verdict,) = (await verdicts(*given, **more)).values()
    return verdict


async def test_a_container_without_a_check_has_to_run_for_ten_seconds() -> None:
    engine = FakeRuntime()
    web = engine.add("web")
    verdict = await one(engine, web)
    assert (verdict.state, round(verdict.seconds)) == (RunState.RUNNING, 10)
    assert not verdict.failed


async def test_one_that_dies_is_reported_at_once_with_its_code() -> None:
    engine = FakeRuntime()
    web = engine.add("web")
    verdict = await one(engine, web, then=lambda: engine.happen(EventKind.DIED, web, exit_code="2"), after=0.5)
    assert (verdict.state, verdict.exit_code, verdict.restarting) == (RunState.ENDED, 2, False)
    assert verdict.failed and verdict.seconds < 2


async def test_a_loop_of_the_restart_policy_is_an_end_although_it_runs_again() -> None:
    """Between two looks the container died and was started again by its engine."""
    engine = FakeRuntime()
    web = engine.add("web")
    verdict = await one(engine, web, then=lambda: change(engine, web, restarts=8), after=1.5)
    assert (verdict.state, verdict.restarting, verdict.ends) == (RunState.ENDED, True, 8)


@pytest.mark.parametrize(
    ("kind", "started", "state"), [("docker", True, "ended"), ("docker", False, "running"), ("cri", True, "running")]
)
async def test_restarts_before_the_first_look_count_where_the_engine_counts_a_new_run_from_zero(
    kind: str, started: bool, state: str
) -> None:
    engine = FakeRuntime(kind=kind)
    web = engine.add("web")
    change(engine, web, restarts=1)
    assert (await one(engine, web, started=started)).state == state


async def test_a_health_check_decides_and_has_its_own_time() -> None:
    engine = FakeRuntime()
    refs = {name: engine.add(name) for name in ("good", "bad", "slow", "endless")}
    for name, ref in refs.items():
        change(engine, ref, health="starting", health_seconds=1000.0 if name == "endless" else 30.0)

    def answer() -> None:
        change(engine, refs["good"], health="healthy")
        change(engine, refs["bad"], health="unhealthy")

    found = await verdicts(engine, *refs.values(), then=answer, after=20.5)
    assert (found["good"].state, round(found["good"].seconds)) == (RunState.HEALTHY, 21)
    assert (found["bad"].state, found["bad"].failed) == (RunState.UNHEALTHY, True)
    assert (found["slow"].state, round(found["slow"].seconds)) == (RunState.UNCHECKED, 35)
    assert round(found["endless"].seconds) == MAX_SECONDS


async def test_an_unpaused_container_is_as_healthy_as_its_next_check() -> None:
    """Docker calls a paused container unhealthy until then."""
    engine = FakeRuntime()
    web = engine.add("web")
    change(engine, web, health="unhealthy", health_seconds=20.0)
    better = await one(engine, web, started=False, then=lambda: change(engine, web, health="healthy"), after=4.5)
    assert (better.state, round(better.seconds)) == (RunState.HEALTHY, 5)
    change(engine, web, health="unhealthy")
    assert (await one(engine, web)).seconds < 1, "after a restart it is a result of now"
    still = await one(engine, web, started=False)
    assert (still.state, round(still.seconds)) == (RunState.UNHEALTHY, 25)


async def test_what_others_do_meanwhile_is_no_death() -> None:
    engine = FakeRuntime()
    refs = {name: engine.add(name) for name in ("stopped", "paused", "removed")}

    def act() -> None:
        engine.happen(EventKind.DIED, refs["stopped"], exit_code="137")
        change(engine, refs["stopped"], stopped_by_client=True)
        engine.happen(EventKind.PAUSED, refs["paused"])
        engine.happen(EventKind.REMOVED, refs["removed"])

    found = await verdicts(engine, *refs.values(), then=act, after=1.5)
    assert {name: str(verdict.state) for name, verdict in found.items()} == {name: name for name in refs}
    assert not any(verdict.failed for verdict in found.values())


async def test_an_end_with_code_0_is_no_failure_unless_it_comes_again() -> None:
    engine = FakeRuntime()
    job, loop = engine.add("job"), engine.add("loop")
    engine.happen(EventKind.DIED, job, exit_code="0")
    engine.happen(EventKind.DIED, loop, exit_code="0")
    change(engine, loop, state="restarting")
    found = await verdicts(engine, job, loop)
    assert [found[name].failed for name in ("job", "loop")] == [False, True]


async def test_an_engine_that_does_not_answer_is_asked_again_and_then_nothing_is_claimed() -> None:
    engine = FakeRuntime()
    web = engine.add("web")
    engine.reachable = False
    verdict = await one(engine, web)
    assert (verdict.state, round(verdict.seconds)) == (RunState.UNKNOWN, 10)
    assert "does not answer" in verdict.why
    verdict = await one(engine, web, then=lambda: setattr(engine, "reachable", True), after=3)
    assert verdict.state is RunState.RUNNING


async def test_a_hundred_are_looked_at_sparingly() -> None:
    engine = FakeRuntime()
    refs = [engine.add(f"web-{number}") for number in range(100)]
    assert len(await verdicts(engine, *refs)) == 100
    assert engine.asked.count("describe") <= 3


async def test_a_watch_takes_no_place_of_followed_logs_and_needs_no_allow() -> None:
    engine = FakeRuntime(allow=["container.restart"])
    web = engine.add("web")
    for _ in range(20):
        await engine.run(VerifyRuns(engine=engine.ref, runs=(web,)), call())
    with pytest.raises(errors.Refused):
        for _ in range(50):
            await engine.run(VerifyRuns(engine=engine.ref, runs=(web,)), call())
    await engine.aclose()


# ── beside a mirror ──────────────────────────────────────────────────────────────────────────────────────────────────


def mirrored(*names: str, kind: str = "docker") -> tuple[FakeRuntime, Mirror, list[Ref]]:
    engine = FakeRuntime(kind=kind)
    refs = [engine.add(name) for name in names]
    mirror = Mirror(engine)
    mirror.stream_opened(engine.ring[-1].at_ns)
    mirror.replace(engine.containers.values(), engine.ring[-1].at_ns)
    mirror.add_to_history(list(engine.ring))
    return engine, mirror, refs


async def test_a_mirror_that_is_live_is_not_polled() -> None:
    engine, mirror, refs = mirrored("web")
    assert (await one(mirror, *refs)).state is RunState.RUNNING
    assert engine.asked.count("describe") <= 4


async def test_an_event_wakes_the_watch_and_the_history_counts() -> None:
    engine, mirror, (web,) = mirrored("web")
    for _ in range(7):
        mirror.add_to_history(
            [engine.happen(EventKind.DIED, web, exit_code="2"), engine.happen(EventKind.STARTED, web)]
        )

    def die() -> None:
        mirror.add_to_history([engine.happen(EventKind.DIED, web, exit_code="2")])

    verdict = await one(mirror, web, then=die, after=0.25)
    assert (verdict.state, verdict.ends, verdict.exit_code) == (RunState.ENDED, 8, 2)
    assert verdict.seconds < 0.5, "the event was not waited for"


async def test_an_event_that_arrives_while_the_container_is_inspected_is_not_waited_for() -> None:
    engine, mirror, (web,) = mirrored("web")
    describe, looks = engine.describe, 0

    async def meanwhile(ids, deadline):
        nonlocal looks
        found, looks = await describe(ids, deadline), looks + 1
        if looks == 1:
            mirror.add_to_history([engine.happen(EventKind.DIED, web, exit_code="2")])
        return found

    engine.describe = meanwhile
    began = asyncio.get_running_loop().time()
    verdict = await one(mirror, web)
    assert (verdict.state, verdict.exit_code, looks) == (RunState.ENDED, 2, 2)
    assert asyncio.get_running_loop().time() - began < 0.5, "the event was waited for"


async def test_the_stop_that_a_restart_sends_is_not_counted_but_somebodys_stop_is_told() -> None:
    engine, mirror, (web,) = mirrored("web")
    asked_for = (EventKind.KILLED, EventKind.DIED, EventKind.STARTED)
    mirror.add_to_history([engine.happen(kind, web, exit_code="143") for kind in asked_for])
    assert verification_evidence.count_ends(mirror.history.since(0), web.id, 0).number == 0

    def stop() -> None:
        mirror.add_to_history(
            [engine.happen(kind, web, exit_code="143") for kind in (EventKind.KILLED, EventKind.DIED)]
        )

    assert (await one(mirror, web, then=stop, after=1)).state is RunState.STOPPED


async def test_a_mirror_whose_stream_is_down_is_polled() -> None:
    engine, mirror, (web,) = mirrored("web")
    mirror.stream_lost("The stream was cut.")
    verdict = await one(mirror, web, then=lambda: engine.happen(EventKind.DIED, web, exit_code="1"), after=2.5)
    assert (verdict.state, round(verdict.seconds)) == (RunState.ENDED, 0), "the engine knows how long it ran"
