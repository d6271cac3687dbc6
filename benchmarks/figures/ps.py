"""A list of 200 containers: as the daemon's bytes, through our adapter, from the mirror, by the CLI and by docker-py.

The daemon's own answer is the floor: what `fresh` takes beyond it is decoding and our client. The mirror's list is
asked twice, since the ages in its sentences are written anew once a second. docker-py's `list` asks for each container.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence

from benchmarks import stage
from benchmarks.harness import Figure, Goal, Table, awaited, called, ratio, rounds
from core.model.actions import ListContainers
from runtimes.inventory.mirror import Mirror


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    import docker  # type: ignore[import-untyped]

    daemon, engine = scene.dockerd, scene.engine()
    raw, low = stage.Raw(daemon.socket), stage.docker_py(daemon.url)
    high = docker.DockerClient(base_url=daemon.url, version="1.41", timeout=60)
    found = await engine.run(ListContainers(engine=engine.ref, fresh=True), stage.call())
    details = await engine.describe([row.ref.id for row in found.rows], 60)
    now = time.time()
    clock = itertools.count(int(now))
    still, moving = Mirror(engine, now=lambda: now), Mirror(engine, now=lambda: float(next(clock)))
    for mirror in (still, moving):
        mirror.stream_opened(0)
        mirror.replace(found.rows, 0)
        mirror.apply_inspections(details, 1)
    fresh, kept = ListContainers(engine=engine.ref, fresh=True), ListContainers(engine=engine.ref)
    taken = await rounds(
        {
            "ours, fresh": awaited(lambda: engine.run(fresh, stage.call()), repeat=3),
            "ours, mirror, first in a second": awaited(lambda: moving.run(kept, stage.call()), repeat=5),
            "ours, mirror, again": awaited(lambda: still.run(kept, stage.call()), repeat=50),
            "the daemon's bytes": called(lambda: raw.get("/v1.41/containers/json?all=1"), repeat=3),
            "docker ps -a": called(lambda: scene.run(["docker", "ps", "-a"])),
            "docker-py APIClient.containers": called(lambda: low.containers(all=True), repeat=3),
            "docker-py containers.list": called(lambda: high.containers.list(all=True)),
        },
        times,
        warm=2,
    )
    raw.close()
    low.close()
    high.close()
    over = ratio(taken["ours, fresh"], taken["the daemon's bytes"])
    first = statistics.median(taken["ours, mirror, first in a second"])
    return [
        Table(
            title=f"ps: a list of {len(found.rows)} containers",
            unit="ms",
            rows=taken,
            ours="ours, fresh",
            goals=[
                Goal(what="fresh, times the daemon's own", found=over, most=1.2),
                Goal(what="from the mirror, ms", found=first, most=1.0),
            ],
        )
    ]


figure = Figure(name="ps", summary="a list of 200 containers", rounds=15, measure=measure)
