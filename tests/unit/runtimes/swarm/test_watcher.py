"""A Swarm kept in view through a manager that a test speaks for, on fake loop time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core import errors
from core.model import event_actions
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.swarm import watcher
from runtimes.swarm.manager_pool import ManagerPool
from runtimes.transport.http_client import Response
from tests.unit.runtimes.swarm.test_snapshot_diff import node, service, task

pytestmark = pytest.mark.looptime
ENGINE = EngineRef(host="k1", kind="swarm")
DIED = task(1, "failed", desired="shutdown", when=5, code=7, id="dead")


class Stream:
    """Lines as they are put; None ends it."""

    status = 200

    def __init__(self) -> None:
        self.sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = False

    async def lines(self, on_long_line: object = None) -> AsyncIterator[bytes]:
        while (line := await self.sent.get()) is not None:
            yield line.rstrip(b"\n")

    async def aclose(self) -> None:
        self.closed = True


class Manager:
    """`fault` is raised for every look; `takes` seconds each."""

    ref = EngineRef(host="m1", kind="docker")
    address, api = "unix:///m1", "1.41"

    def __init__(self) -> None:
        self.services, self.tasks, self.nodes = [service(replicas=1)], [task(1)], [node()]
        self.ring: list[dict[str, Any]] = []
        self.looks = 0
        self.takes = 0.0
        self.fault: errors.EngineError | None = None
        self.streams: list[Stream] = []
        self.since: list[str] = []
        self.silent = False
        self.stored: list[bytes] = []  # what each new stream begins with

    def permits(self, verb: str) -> bool:
        return True

    async def ask(self, method: str, target: str, seconds: float, *, body: Any = None, image: str = "") -> Response:
        if self.fault is not None:
            raise self.fault
        if target.startswith("/events"):
            lines = "".join(json.dumps(one) + "\n" for one in self.ring)
            return Response(status=200, headers={}, body=lines.encode())
        self.looks += target == "/tasks"
        await asyncio.sleep(self.takes)
        told = {"/services": self.services, "/tasks": self.tasks, "/nodes": self.nodes}[target]
        return Response(status=200, headers={}, body=json.dumps(told).encode())

    async def stream(self, target: str, seconds: float) -> Any:
        if self.fault is not None or self.silent:
            raise self.fault or errors.Unreachable("It sends no events.")
        self.since.append(target.partition("&since=")[2])
        self.streams.append(Stream())
        for line in self.stored:
            self.streams[-1].sent.put_nowait(line)
        return self.streams[-1]

    def tell(self, action: str, thing: str = "s1", at_ns: int = 5) -> None:
        self.streams[-1].sent.put_nowait(json.dumps(told(action, thing, at_ns)).encode() + b"\n")


def told(action: str, thing: str = "s1", at_ns: int = 5, scope: str = "swarm") -> dict[str, Any]:
    actor = {"ID": thing, "Attributes": {"name": "web"}}
    return {"Type": "service", "Action": action, "Actor": actor, "scope": scope, "timeNano": at_ns}


class Scene:
    def __init__(self) -> None:
        self.manager = Manager()
        self.managers = ManagerPool(lambda: ENGINE, lambda manager: None)
        self.managers.add(self.manager)
        self.lookout = watcher.SwarmWatcher(self.managers, ENGINE, SkippedDataCounter(lambda: str(ENGINE)))
        self.heard: list[Event] = []
        self.stands = 0
        self.end: BaseException | None = None

    async def listen(self, since_ns: int | None) -> None:
        try:
            async for batch in self.lookout.events(since_ns):
                self.stands += not batch
                self.heard += batch
        except errors.QuarterdeckError as error:
            self.end = error

    @contextlib.asynccontextmanager
    async def listening(self, since_ns: int | None = None) -> AsyncIterator[asyncio.Task[None]]:
        running = asyncio.create_task(self.listen(since_ns))
        await asyncio.sleep(0.5)
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def failed(self) -> list[str]:
        return [event.subject.id for event in self.heard if event.kind is EventKind.TASK_FAILED]


async def test_what_was_before_is_not_told_and_what_comes_is() -> None:
    scene = Scene()
    scene.manager.tasks.append({**DIED, "ID": "old"})
    async with scene.listening():
        await asyncio.sleep(20)
        assert (scene.stands, scene.heard) == (1, [])
        scene.manager.tasks.append(DIED)
        await asyncio.sleep(3)
        assert scene.failed() == ["dead"]
        await asyncio.sleep(60)
        assert scene.failed() == ["dead"]
    assert scene.manager.streams[-1].closed


async def test_who_resumes_is_told_what_failed_meanwhile() -> None:
    scene = Scene()
    scene.manager.tasks.append(DIED)
    async with scene.listening(since_ns=1):
        await asyncio.sleep(3)
        assert scene.failed() == ["dead"]
    # In this same process nothing is missed between two streams, and nothing told again.
    scene.manager.tasks.append({**DIED, "ID": "meanwhile"})
    async with scene.listening(since_ns=1):
        await asyncio.sleep(3)
        assert scene.failed() == ["dead", "meanwhile"]


async def test_a_leader_that_dies_takes_the_word_away_for_a_while_and_too_long_a_silence_ends_the_stream() -> None:
    scene = Scene()
    async with scene.listening() as running:
        scene.manager.fault = errors.TimedOut("It did not answer.", sent=True)
        await asyncio.sleep(20)
        scene.manager.fault = None
        scene.manager.tasks.append(DIED)
        await asyncio.sleep(10)
        assert not running.done() and scene.failed() == ["dead"]
        scene.manager.fault = errors.Unreachable("Gone.")
        await asyncio.sleep(60)
        assert running.done() and isinstance(scene.end, errors.Unreachable)


async def test_one_that_is_nobodys_any_more_ends_quietly() -> None:
    scene = Scene()
    async with scene.listening() as running:
        scene.managers.remove(scene.manager)
        await asyncio.sleep(5)
        assert running.done() and scene.end is None


async def test_a_manager_tells_by_itself_and_a_word_of_it_is_a_reason_to_look() -> None:
    scene = Scene()
    async with scene.listening():
        looks = scene.manager.looks
        scene.manager.tasks.append(DIED)
        scene.manager.tell("update")
        await asyncio.sleep(0.1)
        assert [(event.type, event.action) for event in scene.heard][-1] == ("service", "update") or scene.failed()
        await asyncio.sleep(3)
        assert scene.failed() == ["dead"]
        assert ("service", "update") in [(event.type, event.action) for event in scene.heard]
        # Many words are no reason to look as many times.
        looks = scene.manager.looks
        for number in range(100):
            scene.manager.tell("update", at_ns=100 + number)
            await asyncio.sleep(0.01)
        assert scene.manager.looks - looks <= 4


async def test_a_swarm_whose_events_do_not_arrive_ends_the_stream_and_the_next_one_shows_what_was_missed() -> None:
    scene = Scene()
    scene.manager.services.append(service(id="s9"))
    async with scene.listening() as running:
        stream, scene.manager.silent = scene.manager.streams[-1], True
        stream.sent.put_nowait(None)
        await asyncio.sleep(10)
        assert running.done() and isinstance(scene.end, errors.TimedOut)
    del scene.manager.services[-1]
    scene.manager.services.append(service(id="s8"))
    scene.manager.tasks.append(DIED)
    scene.manager.silent = False
    scene.manager.stored = [json.dumps(told("create", "s8", 9_000_000_000)).encode()]
    async with scene.listening(since_ns=1):
        await asyncio.sleep(5)
    heard = sorted((event.action, event.subject.id, event.origin) for event in scene.heard)
    assert heard == [
        ("create", "s8", Origin.REPLAY),
        ("failed", "dead", Origin.RESYNC),
        ("remove", "s9", Origin.RESYNC),
    ]


async def test_what_was_found_before_a_stream_that_cannot_be_opened_is_told_by_the_next_one() -> None:
    scene = Scene()
    scene.manager.services.append(service(id="s9"))
    async with scene.listening():
        await asyncio.sleep(5)
    del scene.manager.services[-1]
    scene.manager.tasks.append(DIED)
    scene.manager.silent = True
    async with scene.listening() as running:
        await asyncio.sleep(10)
        assert running.done() and isinstance(scene.end, errors.TimedOut) and not scene.heard
    scene.manager.silent = False
    async with scene.listening():
        await asyncio.sleep(5)
    assert sorted((event.action, event.subject.id) for event in scene.heard) == [("failed", "dead"), ("remove", "s9")]


async def test_what_a_manager_sent_last_is_told_before_the_stream_ends() -> None:
    scene = Scene()
    async with scene.listening() as running:
        await asyncio.sleep(1)
        scene.manager.takes = 7.0  # during this look, the manager's stream ends, and no other begins
        await asyncio.sleep(2)
        scene.manager.tell("update")
        await asyncio.sleep(0.5)
        scene.manager.silent = True
        scene.manager.streams[-1].sent.put_nowait(None)
        await asyncio.sleep(20)
        assert running.done() and isinstance(scene.end, errors.TimedOut)
    assert [event.action for event in scene.heard] == ["update"]


async def test_what_a_manager_repeats_late_is_not_told_twice() -> None:
    scene = Scene()
    async with scene.listening():
        await asyncio.sleep(5)
    scene.manager.services.append(service(id="s8"))
    async with scene.listening():
        await asyncio.sleep(5)
        scene.manager.tell("create", "s8", 9_000_000_000)
        await asyncio.sleep(5)
        scene.manager.tell("create", "s8", time.time_ns() + 60_000_000_000)  # a new one
        await asyncio.sleep(5)
    assert [event.origin for event in scene.heard if event.action == "create"] == [Origin.RESYNC, Origin.LIVE]


async def test_the_next_manager_goes_on_where_the_last_one_ended_and_nothing_is_told_twice() -> None:
    scene = Scene()
    before = time.time()
    async with scene.listening():
        scene.manager.tell("update", at_ns=7_000_000_000)
        scene.manager.tell("remove", "s9", at_ns=8_000_000_000)
        await asyncio.sleep(1)
        scene.manager.streams[-1].sent.put_nowait(None)
        await asyncio.sleep(5)
        assert len(scene.manager.streams) == 2
        first, second = scene.manager.since
        assert before - 1 < float(first) <= time.time(), "an event may happen before the manager subscribes the stream"
        assert second == "8.000000000"
        scene.manager.tell("update", at_ns=7_000_000_000)
        scene.manager.tell("remove", "s9", at_ns=8_000_000_999)  # each manager has its own time for what is gone
        scene.manager.tell("update", at_ns=9_000_000_000)
        await asyncio.sleep(5)
        assert [(event.action, event.at_ns) for event in scene.heard] == [
            ("update", 7_000_000_000),
            ("remove", 8_000_000_000),
            ("update", 9_000_000_000),
        ]


async def test_an_event_from_the_year_2262_leaves_nothing_out_after_the_next_connection() -> None:
    scene = Scene()
    before = time.time()
    async with scene.listening():
        scene.manager.tell("update", at_ns=(1 << 63) - 1)
        await asyncio.sleep(1)
        scene.manager.streams[-1].sent.put_nowait(None)
        await asyncio.sleep(5)
        assert before <= float(scene.manager.since[-1]) <= time.time()


async def test_where_a_look_takes_long_it_is_taken_seldom() -> None:
    scene = Scene()
    async with scene.listening():
        looks = scene.manager.looks
        await asyncio.sleep(60)
        assert 25 <= scene.manager.looks - looks <= 31
        scene.manager.takes = 0.3
        await asyncio.sleep(10)
        looks = scene.manager.looks
        await asyncio.sleep(60)
        assert 8 <= scene.manager.looks - looks <= 11


async def test_a_list_of_events_takes_all_that_is_known() -> None:
    scene = Scene()
    scene.manager.tasks.append(DIED)
    scene.manager.ring = [told("create", at_ns=50), told("start", "c1", 51, scope="local")]

    async def listed(**options: int) -> tuple[Event, ...]:
        action = event_actions.ListEvents(engine=ENGINE, **options)
        return (await scene.lookout.list_events(action, 5.0)).rows

    found = await listed()
    assert [(event.type, event.action) for event in found] == [("service", "create"), ("task", "failed")]
    assert await listed(since_ns=found[0].at_ns + 1) == found[1:]
    assert await listed(until_ns=found[0].at_ns) == found[:1]
    assert await listed(limit=1) == found[1:]
