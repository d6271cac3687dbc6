"""What every running container uses, told once: by us, by `docker stats` and by docker-py, which asks for each.

Ours reads the kernel's files while the daemon lists what runs. The others' figures hold the second their daemon waits
to compare two readings; ours compares with the reading before. `the daemon's list` is the one request ours makes.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks import stage
from benchmarks.harness import Figure, Goal, Table, awaited, called, rounds
from core.model.refs import Ref
from core.model.resource_usage import ReadUsage
from runtimes.kernel import cgroup_reader

HUNDREDS = 200


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    daemon, engine = scene.dockerd, scene.engine()
    raw, low = stage.Raw(daemon.socket), stage.docker_py(daemon.url)
    action = ReadUsage(engine=engine.ref)
    told = await engine.run(action, stage.call())
    if len(told.rows) != stage.RUNNING or told.missing:
        raise RuntimeError(f"{len(told.rows)} of {stage.RUNNING} were told. {told.missing}")
    taken = await rounds(
        {
            "ours": awaited(lambda: engine.run(action, stage.call()), repeat=5),
            "the daemon's list": called(lambda: raw.get("/v1.41/containers/json"), repeat=5),
            "docker stats --no-stream": called(lambda: scene.run(["docker", "stats", "--no-stream"])),
            "docker-py APIClient.stats": called(
                lambda: [low.stats(row.ref.id, stream=False) for row in told.rows[:2]], repeat=1
            ),
        },
        times,
        warm=1,
    )
    # Two stand for all: each takes a second or two.
    taken["docker-py APIClient.stats"] = [value * stage.RUNNING / 2 for value in taken["docker-py APIClient.stats"]]
    files = await _files([row.ref for row in told.rows], times)
    raw.close()
    low.close()
    goals = [Goal(what="ms", found=statistics.median(taken["ours"]), most=15.0)]
    note = f"docker-py was asked for two containers, one after the other; the figure is {stage.RUNNING // 2} times that"
    title = f"stats of {stage.RUNNING} running"
    return [Table(title=title, unit="ms", rows=taken, ours="ours", goals=goals, notes=[note]), files]


async def _files(refs: Sequence[Ref], times: int) -> Table:
    """The kernel's part alone, as often as 200 containers take it, with files kept open and with all opened anew."""
    reader, wanted = cgroup_reader.CgroupReader(), dict.fromkeys(refs, 0)
    often = HUNDREDS // len(refs)

    async def kept() -> None:
        for _ in range(often):
            await reader.read(wanted, first_pause=0)

    async def anew() -> None:
        for _ in range(often):
            reader.close()
            await reader.read(wanted, first_pause=0)

    taken = await rounds({"kept open": awaited(kept), "opened anew": awaited(anew)}, times * 3, warm=1)
    reader.close()
    title = f"the kernel's files of {HUNDREDS} ({often} times {len(refs)})"
    return Table(title=title, unit="ms", rows=taken, ours="kept open")


figure = Figure(name="stats", summary="what running containers use", rounds=3, measure=measure)
