"""CPU time of a minute on 200 containers that do nothing, scraped every 15 seconds: ours, the store's, the daemon's.

All 200 run, and their usage is read. The daemon and its containerd are measured for a minute without us before; what
they take more with us is our doing. The figure is for a whole minute, from a bot that has settled. One round needs
more than three minutes, since the containers have to be started; `--quick` measures ten seconds, with the 20 containers
that run anyway.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import statistics
from collections.abc import Sequence

from benchmarks import processes, stage
from benchmarks.harness import Figure, Goal, Table

SCRAPE_SECONDS = 15.0
SETTLE_SECONDS = 20.0


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    quick = times == 1
    seconds = 10.0 if quick else 60.0
    running = stage.RUNNING if quick else await start_all(scene)
    rows: dict[str, list[float]] = {}
    for _ in range(times):
        for name, found in (await once(scene, seconds, quick=quick)).items():
            rows.setdefault(name, []).append(found)
    total = statistics.median(rows["in all"])
    return [
        Table(
            title=f"upkeep: CPU of a minute, {stage.CONTAINERS} containers, {running} running, scraped every 15 s",
            unit="s",
            rows=rows,
            ours="in all",
            goals=[Goal(what="s, in all", found=total, most=0.15)],
            notes=[f"measured for {seconds:.0f} s"],
        )
    ]


async def start_all(scene: stage.Stage) -> int:
    api = scene.dockerd.api
    created = [row["Id"] for row in api.containers(all=True) if row["State"] != "running"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        await asyncio.get_running_loop().run_in_executor(None, lambda: list(pool.map(api.start, created)))
    return len(api.containers())


async def once(scene: stage.Stage, seconds: float, *, quick: bool) -> dict[str, float]:
    assert scene.dockerd.process is not None
    daemon = processes.engine(scene.dockerd.process.pid)
    alone = await spent(daemon, seconds)
    port = processes.free_port()
    with processes.bot(scene.room, scene.environment, port) as process:
        await asyncio.sleep(1 if quick else SETTLE_SECONDS)
        store = processes.children(process.pid)
        before = {pid: processes.cpu_seconds(pid) for pid in (process.pid, *store, *daemon)}
        ends = asyncio.get_running_loop().time() + seconds
        scrapes = 0
        while (now := asyncio.get_running_loop().time()) < ends:
            await asyncio.to_thread(processes.scrape, port)
            scrapes += 1
            await asyncio.sleep(max(0.0, min(SCRAPE_SECONDS, ends - now)))
        took = {pid: processes.cpu_seconds(pid) - cpu for pid, cpu in before.items()}
    minute = 60.0 / seconds
    bot, its_store = took[process.pid] * minute, sum(took[pid] for pid in store) * minute
    share = max(0.0, sum(took[pid] for pid in daemon) - alone) * minute
    return {"in all": bot + its_store + share, "the bot": bot, "its store": its_store, "the daemon's share": share}


async def spent(pids: Sequence[int], seconds: float) -> float:
    before = sum(map(processes.cpu_seconds, pids))
    await asyncio.sleep(seconds)
    return sum(map(processes.cpu_seconds, pids)) - before


figure = Figure(name="upkeep", summary="CPU of a minute on 200 containers", rounds=2, measure=measure)
