"""The last 100 lines of a container that wrote 5,000: as the daemon's bytes, by us, by the CLI and by docker-py.

Ours come back as lines with their times and streams; docker-py's are one string. docker-py inspects the container first
to learn whether the body is framed.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks import stage
from benchmarks.harness import Figure, Goal, Table, awaited, called, rounds
from core.model.actions import ListContainers, ReadLogs


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    daemon, engine = scene.dockerd, scene.engine()
    raw, low = stage.Raw(daemon.socket), stage.docker_py(daemon.url)
    listed = await engine.run(ListContainers(engine=engine.ref, fresh=True), stage.call())
    target = next(row.ref for row in listed.rows if row.ref.name == stage.TALKER)
    action = ReadLogs(engine=engine.ref, target=target, tail=100)
    page = await engine.run(action, stage.call())
    if len(page.lines) != 100:
        raise RuntimeError(f"{len(page.lines)} lines came instead of 100")
    words = f"/v1.41/containers/{target.id}/logs?stdout=1&stderr=1&timestamps=1&tail=100"
    taken = await rounds(
        {
            "ours": awaited(lambda: engine.run(action, stage.call()), repeat=5),
            "the daemon's bytes": called(lambda: raw.get(words), repeat=5),
            "docker logs --tail 100": called(lambda: scene.run(["docker", "logs", "--tail", "100", stage.TALKER])),
            "docker-py APIClient.logs": called(lambda: low.logs(target.id, tail=100, timestamps=True), repeat=5),
        },
        times,
        warm=2,
    )
    raw.close()
    low.close()
    goals = [Goal(what="ms", found=statistics.median(taken["ours"]), most=2.0)]
    return [Table(title="logs --tail 100", unit="ms", rows=taken, ours="ours", goals=goals)]


figure = Figure(name="logs", summary="the last 100 lines of a container", rounds=15, measure=measure)
