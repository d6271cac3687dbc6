"""A stand-in engine with any number of running containers, mirrored, watched and with their resource usage.

The engine is `benchmarks.replay` in a process of its own. It answers lists and inspections, and sends no events unless
told. Usage is made up: all values that the kernel's files have, different for each container.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from benchmarks import readers, replay, stage
from core.model.refs import Ref
from core.model.resource_usage import Usage


@contextlib.asynccontextmanager
async def watched(room: Path, containers: int) -> AsyncIterator[readers.Side]:
    """A watch that stands, over an engine with so many containers."""
    door = f"synthetic-{containers}"
    server = replay.Engine(room, [door], containers=containers)
    try:
        side = readers.Side(f"unix://{room / door}.sock")
        async with stage.watching(side.engine, side.mirror, side.line, side.counts):
            if len(side.mirror.containers) != containers:
                raise RuntimeError(f"{len(side.mirror.containers)} of {containers} containers are in the mirror")
            yield side
        await side.engine.aclose()
    finally:
        server.close()
        (room / f"{door}.sock").unlink(missing_ok=True)


def usage(refs: Sequence[Ref], reading: int) -> list[Usage]:
    """One reading of all; counters grow from one to the next."""
    return [
        Usage(
            ref=ref,
            cpu_percent=12.5,
            cpu_seconds=100.25 * number + reading,
            memory=50_000_000 + number,
            memory_limit=512 << 20,
            network_received=1_000_000 + number + 1000 * reading,
            network_sent=500_000 + number + 1000 * reading,
            block_read=4096 * number,
            block_written=8192 * number + 4096 * reading,
            processes=7,
            process_limit=1000,
            memory_usage=80_000_000 + number,
            memory_failures=0,
            swap=0,
            oom_kills=0,
            cpu_periods=1000 + reading,
            throttled_periods=3,
            throttled_seconds=0.25,
        )
        for number, ref in enumerate(refs)
    ]
