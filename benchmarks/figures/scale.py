"""What a container costs, on engines with 10, 100 and 1,000 of them: to list, to scrape, to sample, and in memory.

The engine is made up (`benchmarks.synthetic`); all its containers run and have usage. A list is what the watch makes
every few minutes, with decoding and comparing. Memory is what Python allocates for the mirror, the usage of one hour
and the page, beyond what one container takes. All figures are for each container: a flat row means that the whole
cost grows in step with the number.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence

from benchmarks import readers, stage, synthetic
from benchmarks.harness import Figure, Goal, Table
from collectors import exposition
from core.model.actions import ListContainers
from runtimes.inventory import usage_history

SIZES = (10, 100, 1000)
REPEAT = {10: 40, 100: 10, 1000: 3}
READINGS = 240  # of one hour
FLAT = 1.5


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    rows: dict[str, dict[str, list[float]]] = {"list": {}, "scrape": {}, "reading": {}, "memory": {}}
    await allocated(scene, 1)  # what is imported or cached once
    alone = await allocated(scene, 1)
    for size in SIZES:
        async with synthetic.watched(scene.room, size) as side:
            name = f"{size:,} containers"
            for _ in range(times):
                for what, found in (await once(side, size)).items():
                    rows[what].setdefault(name, []).append(found)
        rows["memory"][name] = [(await allocated(scene, size) - alone) / (size - 1)]
    return [
        table("list: CPU to list, decode and compare", "µs each", rows["list"]),
        table("scrape: CPU to render after a reading", "µs each", rows["scrape"]),
        table("reading: CPU to store a reading of the usage", "µs each", rows["reading"]),
        table("memory: mirror, an hour of usage, and the page", "KiB each", rows["memory"]),
    ]


def table(title: str, unit: str, rows: dict[str, list[float]]) -> Table:
    small, large = (statistics.median(rows[f"{size:,} containers"]) for size in (SIZES[0], SIZES[-1]))
    goals = [Goal(what="1,000 containers to 10, each", found=large / small, most=FLAT)]
    return Table(title=f"scale, {title}", unit=unit, rows=rows, ours=f"{SIZES[-1]:,} containers", goals=goals)


async def once(side: readers.Side, size: int) -> dict[str, float]:
    mirror, readings = side.mirror, itertools.count()
    refs = [row.ref for row in mirror.containers.values()]
    page = exposition.Exposition(side.counts, lambda: [mirror])
    fresh = ListContainers(engine=side.engine.ref, fresh=True)
    usage = synthetic.usage(refs, 0)

    async def listed() -> None:
        mirror.replace((await side.engine.run(fresh, stage.call())).rows, 1)

    async def read() -> None:
        mirror.usage.add(usage)

    async def rendered() -> None:
        page.render()

    await listed(), await read(), await rendered()
    found = {"list": await cpu(listed, size), "reading": await cpu(read, size)}
    mirror.usage.latest = {one.ref.id: one for one in synthetic.usage(refs, next(readings) + 1)}
    # What a page costs without any container is taken off: our own counters.
    empty = await cpu_of(rendered_empty(side), size)
    found["scrape"] = max(0.0, await cpu_of(rendered, size) - empty) / size * 1e6
    return found


def rendered_empty(side: readers.Side) -> Callable[[], Awaitable[None]]:
    page = exposition.Exposition(side.counts, list)

    async def rendered() -> None:
        page.render()

    return rendered


async def cpu(work: Callable[[], Awaitable[None]], size: int) -> float:
    return await cpu_of(work, size) / size * 1e6


async def cpu_of(work: Callable[[], Awaitable[None]], size: int) -> float:
    """CPU seconds of one call: the lowest of several runs."""
    taken = []
    for _ in range(3):
        gc.collect()
        began = time.process_time()
        for _ in range(REPEAT[size]):
            await work()
        taken.append((time.process_time() - began) / REPEAT[size])
    return min(taken)


async def allocated(scene: stage.Stage, size: int) -> float:
    """KiB that Python allocated for a watch, an hour of usage, and the page."""
    gc.collect()
    tracemalloc.start()
    try:
        async with synthetic.watched(scene.room, size) as side:
            refs = [row.ref for row in side.mirror.containers.values()]
            clock = itertools.count(int(time.time()), 15)
            side.mirror.usage = usage_history.UsageHistory(lambda: float(next(clock)))
            for reading in range(READINGS):
                side.mirror.usage.add(synthetic.usage(refs, reading))
            page = exposition.Exposition(side.counts, lambda: [side.mirror])
            page.render()
            gc.collect()
            return tracemalloc.get_traced_memory()[0] / 1024
    finally:
        tracemalloc.stop()


figure = Figure(name="scale", summary="what a container costs, from 10 to 1,000", rounds=3, measure=measure)
