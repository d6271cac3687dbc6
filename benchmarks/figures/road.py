"""One command from words to reply, inside the process: parsing, limits, policy, engine, audit, rendering, redaction.

`ps -a` of 200 containers with the embedded store and a live mirror, as in a running bot. What the store and the engine
took of it is clocked at their doors in the same calls; the rest is ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from benchmarks import stage
from benchmarks.harness import Figure, Table, rounds
from bot import app as composition
from bot import heartbeat, plain_text
from bot.console import terminal
from core import supervise
from core.config import load
from core.model.replies import Ending
from core.store.client import Store
from runtimes.inventory.mirror import Mirror

REPEAT = 5


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    file = scene.room / "road.yaml"
    file.write_text(
        f"state: {scene.room / 'road'}\nlimits: {{read: 100000/s}}\nmetrics: {{listen: off}}\n"
        f"engines:\n  - {{kind: docker, url: '{scene.dockerd.url}'}}\n"
    )
    settings = load.load(file)
    async with supervise.Supervisor() as supervisor:
        app = await composition.build(settings, watch=True, supervisor=supervisor)
        supervisor.start_background("heartbeat", lambda: heartbeat.record_heartbeats(app), supervise.Backoff())
        async with asyncio.timeout(60):
            while not all(mirror.live and not mirror.dirty for mirror in app.engines.mirrors):
                await asyncio.sleep(0.01)
        return [await table(app, times)]


async def table(app: composition.App, times: int) -> Table:
    who = terminal.identity(app.config.state)
    shares: dict[str, list[float]] = {"of it the store": [], "of it the mirror": [], "of it ours": []}
    clocks = {"store": 0.0, "mirror": 0.0}

    async def whole(line: str) -> float:
        clocks.update(store=0.0, mirror=0.0)
        began = time.perf_counter()
        for _ in range(REPEAT):
            reply = await app.dispatcher.answer(terminal.invocation(line, who))
            if reply is None or reply.ending is not Ending.OK:
                raise RuntimeError(f"{line}: {reply}")
        return (time.perf_counter() - began) * 1000 / REPEAT

    async def clocked() -> float:
        took = await whole("ps -a")
        store, mirror = (clocks[name] * 1000 / REPEAT for name in ("store", "mirror"))
        for name, share in zip(shares, (store, mirror, took - store - mirror), strict=True):
            shares[name].append(share)
        return took

    reply = await app.dispatcher.answer(terminal.invocation("ps -a", who))
    assert reply is not None

    async def shown() -> float:
        began = time.perf_counter()
        plain_text.render(reply, 120)
        return (time.perf_counter() - began) * 1000

    with at_the_doors(clocks):
        taken = await rounds(
            {
                "ps -a, 200 rows": clocked,
                "ps, 20 rows": functools.partial(whole, "ps"),
                "ps -a --fresh": functools.partial(whole, "ps -a --fresh"),
                "its text for a terminal": shown,
            },
            times,
            warm=2,
        )
    rows = {"ps -a, 200 rows": taken.pop("ps -a, 200 rows"), **{name: kept[-times:] for name, kept in shares.items()}}
    return Table(title="road: from words to reply", unit="ms", rows={**rows, **taken}, ours="ps -a, 200 rows")


@contextlib.contextmanager
def at_the_doors(clocks: dict[str, float]) -> Iterator[None]:
    """Adds up the seconds every call to the store and to a mirror takes; one command runs at a time."""

    def clock(name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(call)
        async def timed(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return await call(*given, **named)
            finally:
                clocks[name] += time.perf_counter() - began

        return timed

    with contextlib.ExitStack() as stack:
        for name, member in inspect.getmembers(Store, inspect.iscoroutinefunction):
            if not name.startswith("_"):
                stack.enter_context(mock.patch.object(Store, name, clock("store", member)))
        stack.enter_context(mock.patch.object(Mirror, "run", clock("mirror", Mirror.run)))
        yield


figure = Figure(name="road", summary="one command from words to reply", rounds=15, measure=measure)
