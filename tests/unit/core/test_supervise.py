"""Tasks end, crash, come back and are closed in order, on fake loop time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core import errors, supervise
from core.supervise import Backoff, Supervisor

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def forever() -> None:
    await asyncio.Event().wait()


class Least(random.Random):
    """Jitter that always asks for the whole wait."""

    def uniform(self, a: float, b: float) -> float:
        return b


@given(attempt=st.integers(1, 10_000), base=st.floats(0.001, 10), cap=st.floats(0.001, 1000), seed=st.integers())
def test_backoff_stays_within_its_bounds(attempt: int, base: float, cap: float, seed: int) -> None:
    pause = supervise.backoff_seconds(attempt, base, cap, random.Random(seed))
    assert 0 <= pause <= cap
    assert pause <= base * 2.0 ** min(attempt - 1, 60)


def test_backoff_doubles_up_to_its_cap() -> None:
    assert [supervise.backoff_seconds(n, 0.5, 5, Least()) for n in (1, 2, 3, 4, 5, 99)] == [0.5, 1, 2, 4, 5, 5]


async def test_a_crashing_task_comes_back_later_and_later_and_says_so() -> None:
    began: list[float] = []
    told: list[str] = []

    async def crash() -> None:
        began.append(now())
        raise OSError("socket gone")

    with capture_logs() as lines:
        async with Supervisor(rng=Least(), on_restart=told.append) as supervisor:
            supervisor.start_background("watch", crash, Backoff(base=1, cap=4))
            await asyncio.sleep(12)
    assert began == [0, 1, 3, 7, 11]
    assert told == ["watch"] * 5
    crashes = [line for line in lines if line["event"] == "A task failed. It will be started again."]
    assert [line["pause"] for line in crashes] == [1, 2, 4, 4, 4]
    assert all(isinstance(line["exc_info"], OSError) and line["task"] == "watch" for line in crashes)


async def test_a_task_that_was_calm_for_long_begins_again_at_the_shortest_wait() -> None:
    began: list[float] = []

    async def crash() -> None:
        began.append(now())
        await asyncio.sleep(100 if len(began) == 3 else 0)
        raise OSError

    async with Supervisor(rng=Least()) as supervisor:
        supervisor.start_background("watch", crash, Backoff(base=1, cap=64, stable=60))
        await asyncio.sleep(109)
    assert began == [0, 1, 3, 104, 106]


async def test_a_restart_is_not_hindered_by_its_counter() -> None:
    began: list[float] = []

    async def crash() -> None:
        began.append(now())
        raise OSError

    def broken(name: str) -> None:
        raise KeyError(name)

    with capture_logs() as lines:
        async with Supervisor(rng=Least(), on_restart=broken) as supervisor:
            supervisor.start_background("watch", crash, Backoff(base=1))
            await asyncio.sleep(2)
    assert began == [0, 1]
    assert any(line["event"] == "The restart of a task could not be counted." for line in lines)


async def test_a_task_without_restart_that_dies_ends_everything() -> None:
    ended: list[str] = []

    async def die() -> None:
        await asyncio.sleep(3)
        raise ZeroDivisionError("why")

    async def other() -> None:
        try:
            await forever()
        finally:
            ended.append("other")

    async def close() -> None:
        ended.append("store")

    with pytest.raises(ZeroDivisionError, match="why"):
        async with Supervisor() as supervisor:
            supervisor.on_close("store", close)
            supervisor.start_background("other", other, Backoff())
            supervisor.start_background("die", die)
            await supervisor.serve_until_stopped()
    assert now() == 3
    assert ended == ["other", "store"]


async def test_the_first_death_is_the_one_that_is_raised() -> None:
    async def die(after: float, error: Exception) -> None:
        try:
            await asyncio.sleep(after)
        finally:
            raise error

    with capture_logs() as lines, pytest.raises(KeyError):
        async with Supervisor() as supervisor:
            supervisor.start_background("second", lambda: die(9, ValueError()))
            supervisor.start_background("first", lambda: die(1, KeyError()))
            await supervisor.serve_until_stopped()
    assert [line["task"] for line in lines if line["event"] == "A task failed while it was stopping."] == ["second"]


async def test_a_task_that_returns_has_finished_and_harms_nobody() -> None:
    async def short() -> None:
        await asyncio.sleep(1)

    async with Supervisor() as supervisor:
        supervisor.start_background("short", short)
        supervisor.start_background("short too", short, Backoff())
        supervisor.start_oneshot("stop", stop_later(supervisor, 5))
        await supervisor.serve_until_stopped()
    assert now() == 5


async def stop_later(supervisor: Supervisor, seconds: float) -> None:
    await asyncio.sleep(seconds)
    supervisor.stop("the test is over")


async def test_a_cancellation_from_within_is_a_crash() -> None:
    async def lost() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    with pytest.raises(RuntimeError, match="lost was cancelled from inside"):
        async with Supervisor() as supervisor:
            supervisor.start_background("lost", lost)
            await supervisor.serve_until_stopped()


async def fail_late() -> None:
    """Fails in a TaskGroup whose body has ended: up to Python 3.12 its task looks cancelled from then on."""

    async def child() -> None:
        await asyncio.sleep(1)
        raise KeyError("a bug in the reader")

    async with asyncio.TaskGroup() as group:
        group.create_task(child())


async def fail_early() -> None:
    """Fails in a TaskGroup whose body is still running."""

    async def child() -> None:
        raise KeyError("a bug in the reader")

    async with asyncio.TaskGroup() as group:
        group.create_task(child())
        await forever()


async def fail_nested() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail_late())


async def fail_after_a_caught_failure() -> None:
    with contextlib.suppress(ExceptionGroup):
        await fail_late()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


FAILING = [fail_late, fail_early, fail_nested, fail_after_a_caught_failure]


@pytest.mark.parametrize("failing", FAILING)
async def test_a_task_comes_back_after_any_failure_of_a_task_group(failing: Callable[[], Any]) -> None:
    told: list[str] = []
    async with Supervisor(rng=Least(), on_restart=told.append) as supervisor:
        task = supervisor.start_background("watch", failing, Backoff(base=1, cap=1))
        await asyncio.sleep(8.5)
        assert len(told) >= 3
        assert not task.done()
    assert task.cancelled()


@pytest.mark.parametrize("failing", FAILING)
async def test_a_task_without_restart_ends_everything_after_any_failure_of_a_task_group(
    failing: Callable[[], Any],
) -> None:
    with pytest.raises((ExceptionGroup, RuntimeError)):
        async with Supervisor() as supervisor:
            supervisor.start_background("console", failing)
            await supervisor.serve_until_stopped()


async def test_a_task_is_told_to_stop_once_and_ends_although_a_task_group_of_it_failed_before() -> None:
    seen: list[str] = []

    async def lives_on() -> None:
        with contextlib.suppress(ExceptionGroup):
            await fail_late()
        try:
            await forever()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async with Supervisor() as supervisor:
        task = supervisor.start_background("watch", lives_on, Backoff())
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.wait([task])
    assert seen == ["cancelled"]
    assert task.cancelled()


@pytest.mark.parametrize(
    "error", [GeneratorExit(), BaseExceptionGroup("", [asyncio.CancelledError()]), StopIteration()]
)
async def test_an_exception_of_any_kind_is_a_crash(error: BaseException) -> None:
    runs: list[float] = []

    async def fail() -> None:
        runs.append(now())
        raise error

    async with Supervisor(rng=Least()) as supervisor:
        supervisor.start_background("watch", fail, Backoff(base=1, cap=1))
        await asyncio.sleep(3.5)
    assert runs == [0, 1, 2, 3]


async def test_one_shot_work_is_bounded_and_counted() -> None:
    async with Supervisor(max_tasks=2, drain_seconds=0) as supervisor:
        supervisor.start_oneshot("one", forever())
        supervisor.start_oneshot("two", asyncio.sleep(1))
        with pytest.raises(errors.Refused, match="2 commands are already running"):
            supervisor.start_oneshot("three", forever())
        assert supervisor.refused == 1
        await asyncio.sleep(2)
        assert await supervisor.start_oneshot("four", asyncio.sleep(1, "done")) == "done"


async def test_work_that_fails_is_heard() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with capture_logs() as lines:
        async with Supervisor() as supervisor:
            supervisor.start_oneshot("reply", fail())
    [line] = [line for line in lines if line["event"] == "A task failed."]
    assert line["task"] == "reply"
    assert isinstance(line["exc_info"], KeyError)


async def test_work_under_way_is_waited_for_and_may_use_the_endless_tasks() -> None:
    asked: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue(maxsize=1)
    done: list[str] = []

    async def answer() -> None:
        while True:
            (await asked.get()).set_result("yes")

    async def work() -> None:
        await asyncio.sleep(4)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await asked.put(future)
        done.append(await future)

    async with Supervisor(drain_seconds=5) as supervisor:
        supervisor.start_background("answer", answer)
        task = supervisor.start_oneshot("work", work())
        supervisor.stop()
        with pytest.raises(errors.Refused, match="stopping"):
            supervisor.start_oneshot("late", forever())
    assert done == ["yes"]
    assert task.done()
    assert now() == 4


async def test_work_that_outlasts_the_drain_is_cut_short_and_named() -> None:
    with capture_logs() as lines:
        async with Supervisor(drain_seconds=5) as supervisor:
            task = supervisor.start_oneshot("slow reply", forever())
    assert task.cancelled()
    assert now() == 5
    assert {
        "event": "A task did not end in time and was cancelled.",
        "task": "slow reply",
        "log_level": "warning",
    } in lines


async def test_what_was_opened_last_is_closed_first_each_within_its_deadline() -> None:
    closed: list[tuple[str, float]] = []

    def closer(name: str, seconds: float = 0.0) -> Callable[[], Any]:
        async def close() -> None:
            await asyncio.sleep(seconds)
            closed.append((name, now()))

        return close

    async def broken() -> None:
        raise OSError("already gone")

    with capture_logs() as lines:
        async with Supervisor() as supervisor:
            supervisor.on_close("store", closer("store"))
            supervisor.on_close("broken", broken)
            supervisor.on_close("stuck", closer("stuck", 99), deadline=2)
            supervisor.on_close("engine", closer("engine", 1))
    assert closed == [("engine", 1), ("store", 3)]
    assert [line["event"] for line in lines] == [
        "The closing of a part of Quarterdeck took too long and was cancelled.",
        "A part of Quarterdeck could not be closed.",
    ]


async def test_a_task_that_will_not_end_is_left_behind_and_named() -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    try:
        with capture_logs() as lines:
            async with Supervisor() as supervisor:
                supervisor.start_background("stubborn", stubborn)
                await asyncio.sleep(1)
        assert now() == 1 + supervise.CANCEL_SECONDS
        assert [line["task"] for line in lines if "left running" in line["event"]] == ["stubborn"]
    finally:  # otherwise the end of the loop would wait for it
        release.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_an_error_of_the_body_comes_through_after_closing() -> None:
    closed: list[str] = []

    async def close() -> None:
        closed.append("store")

    with pytest.raises(KeyError):
        async with Supervisor() as supervisor:
            supervisor.on_close("store", close)
            raise KeyError
    assert closed == ["store"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_and_a_second_one_hurries(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    closed: list[str] = []

    async def close() -> None:
        closed.append("store")

    async with Supervisor(drain_seconds=1000) as supervisor:
        supervisor.on_close("store", close)
        task = supervisor.start_oneshot("work", forever())
        supervisor.catch_signals()
        os.kill(os.getpid(), number)
        await supervisor.serve_until_stopped()
        os.kill(os.getpid(), number)
    assert task.cancelled()
    assert closed == ["store"]
    assert now() <= supervise.HURRY_SECONDS
    assert signal.getsignal(number) is before


async def test_a_cancellation_while_closing_hurries_it_but_does_not_cut_it_short() -> None:
    closed: list[str] = []

    async def close() -> None:
        await asyncio.sleep(0.5)
        closed.append("store")

    async def whole() -> None:
        async with Supervisor(drain_seconds=1000) as supervisor:
            supervisor.on_close("store", close)
            supervisor.start_oneshot("work", forever())

    task = asyncio.get_running_loop().create_task(whole())
    await asyncio.sleep(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == ["store"]
    assert now() == 3 + supervise.HURRY_SECONDS + 0.5


async def test_closing_twice_closes_each_thing_once() -> None:
    closed: list[str] = []

    async def close() -> None:
        closed.append("store")

    supervisor = Supervisor()
    supervisor.on_close("store", close)
    await supervisor.aclose()
    await supervisor.aclose()
    assert closed == ["store"]
