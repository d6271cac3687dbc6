"""What the process says about itself: which parts are ready, why others are not, and which tasks started again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bot import app as bot_app
from core import errors, supervise, tasks
from core.metrics import Metrics
from core.model.events import Event, EventKind, Origin
from core.model.refs import Kind, Ref
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime


class Process:
    """The parts of an App that readiness looks at."""

    def __init__(self, *mirrors: Mirror, store: errors.StoreError | None = None, chat: Any = None) -> None:
        self.engines = SimpleNamespace(mirrors=mirrors)
        self.store, self.chat = store, chat
        self.embedded: Any = None

    async def probe(self) -> float:
        if self.store is not None:
            raise self.store
        return 0.001

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        return await bot_app.App.ready(self)  # type: ignore[arg-type]


def mirrored(name: str) -> Mirror:
    mirror = Mirror(FakeRuntime(name))
    mirror.stream_opened(0)
    mirror.replace([], 0)
    return mirror


async def test_each_engine_that_is_not_ready_says_why() -> None:
    ready, starting, listing, inspecting, lost, dead = (mirrored(f"h{number}") for number in range(6))
    starting.stream_lost()
    listing.events_lost(1)
    ref = Ref(engine=inspecting.ref, kind=Kind.CONTAINER, id="a" * 64, name="new")
    live, created = Origin.LIVE, EventKind.CREATED
    inspecting.apply_events(
        [Event(at_ns=1, kind=created, subject=ref, origin=live, type="container", action="create", attrs={})]
    )
    lost.stream_lost("The connection was lost. Check whether the engine was restarted.")
    dead.stream_lost("It refused password=hunter2.")
    good, parts = await Process(ready, starting, listing, inspecting, lost, dead).ready()
    assert good
    assert list(parts["engines"].values())[:5] == [
        {"ready": True},
        {"ready": False, "reason": "The event stream is not open yet."},
        {"ready": False, "reason": "The containers are being listed."},
        {"ready": False, "reason": "New containers are being inspected: 1."},
        {"ready": False, "reason": "The connection was lost. Check whether the engine was restarted."},
    ]
    assert "hunter2" not in parts["engines"][str(dead.ref)]["reason"]
    for mirror in (ready, starting, listing, inspecting, lost, dead):
        assert mirror.live is (mirror.not_live_reason == "")


async def test_every_part_that_keeps_the_process_from_being_ready_is_named() -> None:
    good, parts = await Process(store=errors.StoreDown("The store does not answer.")).ready()
    assert not good
    assert parts["store"] == {"ready": False, "reason": "The store does not answer."}
    assert parts["reason"].startswith("No engine is watched")
    good, parts = await Process(mirrored("h"), chat=lambda: {"ready": False, "reason": "not connected yet"}).ready()
    assert not good
    assert parts["slack"] == {"ready": False, "reason": "not connected yet"}


async def test_a_store_of_its_own_that_does_not_start_says_why() -> None:
    process = Process(store=errors.StoreDown("The store does not answer.", hint="Check `store.url`."))
    process.embedded = SimpleNamespace(fault="The disk is full. Free some space.")
    _, parts = await process.ready()
    assert parts["store"]["reason"] == "The disk is full. Free some space."
    process.embedded.fault = ""  # it runs, and yet it does not answer
    _, parts = await process.ready()
    assert parts["store"]["reason"] == "The store does not answer. Check `store.url`."


async def test_a_store_that_only_refuses_to_write_is_not_ready() -> None:
    """As one whose disk is full: it answers what only reads."""

    class Full:
        async def heartbeat(self, *_: object) -> None:
            raise errors.StoreDown("The store refuses writes.", hint="Free space on its disk.")

        async def usage(self) -> None:
            raise AssertionError

    process = SimpleNamespace(store=Full(), replica="r1", metrics=Metrics())
    process.metrics.store_up.set(1)
    with pytest.raises(errors.StoreDown, match="refuses writes"):
        await bot_app.App.probe(process)  # type: ignore[arg-type]
    assert process.metrics.registry.get_sample_value("quarterdeck_store_up") == 0


@pytest.mark.looptime
async def test_restarts_and_failures_of_tasks_are_counted_and_all_watches_are_one_task() -> None:
    async def crash() -> None:
        await asyncio.sleep(1)
        raise KeyError

    counts = Metrics()
    async with supervise.Supervisor() as supervisor:
        bot_app._count_tasks(supervisor, counts)
        for name in ("watch docker/h1", "watch podman/h2", "embedded_store"):
            supervisor.start_background(name, crash, supervise.Backoff(base=0.001, cap=0.001))
        supervisor.start_oneshot("slack slash-1", crash())
        started = [tasks.start(f"crash_card {number}", crash()) for number in range(2)]
        await asyncio.sleep(3.5)
    assert all(task.done() for task in started)

    def seen(metric: str, *names: str) -> dict[str, float | None]:
        return {name: counts.registry.get_sample_value(f"quarterdeck_{metric}", {"task": name}) for name in names}

    assert seen("task_restarts_total", "watch", "embedded_store") == {"watch": 6.0, "embedded_store": 3.0}
    assert seen("task_failures_total", "crash_card", "slack") == {"crash_card": 2.0, "slack": 1.0}
