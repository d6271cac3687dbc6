"""What containers use, on every engine that can tell."""

import asyncio

from core.model.resource_usage import ReadUsage
from tests.contract.grounds import over


async def told(ground, *only):
    """By id, and why some are missing."""
    usages = await ground.do(ReadUsage(engine=ground.runtime.ref, only=only))
    return {row.ref.id: row for row in usages.rows}, usages.missing


async def compared(ground, true):
    """As `told`, once the processor's share is known, which some engines tell from the second reading on, and once
    `true` of it: a busy machine may run no container at all between two readings."""
    async with asyncio.timeout(60):
        while True:
            found, missing = await told(ground)
            if not any(row.cpu_percent is None for row in found.values()) and true(found):
                return found, missing
            await asyncio.sleep(0.3)


@over(ReadUsage)
async def test_what_runs_is_told_with_its_use(ground):
    if "use" in ground.lacks:
        ground.daemon.run("busy", "while :; do :; done")
        found, missing = await told(ground)
        assert not found and "cgroup" in missing
        return
    busy = ground.daemon.run("busy", "while :; do :; done")
    idle = ground.daemon.run("idle", "head -c 20000000 /dev/zero | tail -c 1 > /dev/null; : > /done; sleep 3600")
    await asyncio.to_thread(ground.daemon.exec, "idle", ["/bin/sh", "-c", "while [ ! -e /done ]; do sleep 0.05; done"])
    ground.daemon.run("ended", "exit 0")
    ground.daemon.wait("ended")
    ground.daemon.run("made", start=False)
    found, missing = await compared(ground, lambda found: found[idle].cpu_percent < found[busy].cpu_percent <= 150)
    assert (set(found), missing) == ({busy, idle}, "")
    assert found[busy].ref == await ground.ref("busy")
    assert found[busy].cpu_seconds > found[idle].cpu_seconds
    for row in found.values():
        assert row.memory > 10_000
        assert row.memory_limit is None
        assert row.processes is None or row.processes >= 1
    used = found[busy].cpu_seconds
    async with asyncio.timeout(60):
        while True:
            found, missing = await told(ground, busy)
            assert (set(found), missing) == ({busy}, "")
            if found[busy].cpu_seconds > used:
                break
            await asyncio.sleep(0.05)


@over(ReadUsage)
async def test_what_ends_or_begins_between_two_readings_is_left_out_or_told(ground):
    lacks = "use" in ground.lacks
    first, second = ground.daemon.run("first"), ground.daemon.run("second")
    assert set((await told(ground))[0]) == (set() if lacks else {first, second})
    ground.daemon.remove("first")
    third = ground.daemon.run("third")
    assert set((await told(ground))[0]) == (set() if lacks else {second, third})
    ground.daemon.stop("third")
    found, missing = await told(ground, third)
    assert not found and (lacks or not missing)
    assert set((await told(ground))[0]) == (set() if lacks else {second})


@over(ReadUsage)
async def test_many_are_read_at_once_and_by_several(ground):
    made = {ground.daemon.run(f"c{number}") for number in range(6)}
    both = await asyncio.gather(told(ground), told(ground))
    assert all(set(found) == (set() if "use" in ground.lacks else made) for found, _ in both)
