"""Log rules: which logs are followed, what is counted, and what it costs."""

from __future__ import annotations

import asyncio

import pytest

from collectors.log_line_events import EVENT_SECONDS, MAX_FOLLOWED, SCAN_SECONDS, LogLineEvents
from core.model.events import Event, EventKind
from core.model.log_patterns import MAX_LINE, LogPattern
from core.model.policy_selectors import Selector
from tests.helpers.watch_bench import Bench

PANIC = LogPattern(name="web-panic", on=Selector(name="web*"), texts=("panic:", "FATAL*database"))


class Scene:
    """An engine that is watched, and its followed logs."""

    def __init__(self, *patterns: LogPattern) -> None:
        self.bench = Bench()
        self.events: list[Event] = []
        self.own: set[str] = set()
        self.watch = LogLineEvents(
            patterns or (PANIC,),
            lambda: [self.bench.mirror],
            lambda events, containers: self.events.extend(events),
            is_own=lambda each: each in self.own,
            now=self.bench.now,
        )

    async def __aenter__(self) -> Scene:
        self._watching = self.bench.watching()
        await self._watching.__aenter__()
        await self.bench.until(lambda: self.bench.mirror.live)
        self.task = asyncio.create_task(self.watch.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self._watching.__aexit__(*error)

    async def add(self, name: str, **more):
        ref = self.bench.engine.add(name, **more)
        await self.bench.until(lambda: ref.id in self.bench.mirror.containers)
        await asyncio.sleep(SCAN_SECONDS + 1)
        return ref

    @property
    def lines(self) -> int:
        return sum(int(event.attrs["lines"]) for event in self.events)


@pytest.mark.looptime
async def test_matching_lines_are_counted_and_no_line_is_passed_on() -> None:
    async with Scene() as scene:
        web = await scene.add("web")
        for text in ("all is well", "panic: password=hunter2", "FATAL: the database is away", "FATAL nothing"):
            scene.bench.engine.say(web, text)
        await asyncio.sleep(3)
        (event,) = scene.events
        assert (event.kind, event.action, event.subject) == (EventKind.OTHER, "log:web-panic", web)
        assert event.attrs == {"lines": "2"}


@pytest.mark.looptime
async def test_a_busy_log_is_one_event_in_ten_seconds_and_every_line_counts() -> None:
    async with Scene() as scene:
        web = await scene.add("web")
        for _ in range(40):
            scene.bench.engine.say(web, "panic: again")
            await asyncio.sleep(0.5)
        await asyncio.sleep(EVENT_SECONDS)
        scene.bench.engine.say(web, "panic: the last")
        await asyncio.sleep(EVENT_SECONDS + 3)
        assert len(scene.events) <= 5
        assert scene.lines == 41


@pytest.mark.looptime
async def test_only_chosen_logs_are_followed_and_the_end_of_a_container_ends_it() -> None:
    async with Scene() as scene:
        await scene.add("db")
        await scene.add("web-quiet", labels={"quarterdeck.logs": "off"})
        own = await scene.add("web-own", start=False)
        scene.own.add(own.id)
        scene.bench.engine.happen(EventKind.STARTED, own)
        await asyncio.sleep(SCAN_SECONDS + 1)
        assert scene.watch.followed == 0
        web = await scene.add("web")
        assert scene.watch.followed == 1
        scene.bench.engine.happen(EventKind.DIED, web, exit_code="0")
        await asyncio.sleep(SCAN_SECONDS + 1)
        assert scene.watch.followed == 0


@pytest.mark.looptime
async def test_people_can_still_follow_logs() -> None:
    async with Scene() as scene:
        for number in range(MAX_FOLLOWED + 4):
            await scene.add(f"web{number}")
        assert scene.watch.followed == MAX_FOLLOWED


@pytest.mark.looptime
async def test_when_it_ends_no_job_is_left_on_the_engine() -> None:
    async with Scene() as scene:
        await scene.add("web")
        assert any(job.read_only and job.ended_at is None for job in scene.bench.engine.jobs._jobs.values())
    assert not [job for job in scene.bench.engine.jobs._jobs.values() if job.ended_at is None]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("panic:", "a panic: b", True),
        ("panic:", "a Panic: b", False),
        ("a*b*c", "xxa--b--c", True),
        ("a*b*c", "xxb--a--c", False),
        ("*", "", True),
        ("[err", "[err]", True),
    ],
)
def test_a_pattern_is_text_with_stars(text: str, line: str, found: bool) -> None:
    assert LogPattern(name="x", on=Selector(), texts=(text,)).matches(line) is found


def test_case_may_be_ignored_and_only_the_beginning_of_a_long_line_is_searched() -> None:
    loud = LogPattern(name="x", on=Selector(), texts=("Fatal",), ignore_case=True)
    assert loud.matches("FATAL") and not loud.matches("x" * MAX_LINE + "fatal")


def test_a_hostile_line_does_not_hold_the_search() -> None:
    """A regular expression of this form would search such a line for hours."""
    pattern = LogPattern(name="x", on=Selector(), texts=("a*a*a*a*a*a*a*a*a*b",))
    assert not any(pattern.matches("a" * 100_000) for _ in range(1000))
