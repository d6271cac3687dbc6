"""What containers use, on every engine that can tell."""

import asyncio

from core.model import actions
from core.model.usage import ReadUsage
from tests.contract.grounds import over


async def rows(ground, *only):
    told = await ground.do(ReadUsage(engine=ground.runtime.ref, only=only))
    return {row.ref.name: row for row in told.rows}, told.missing


async def untold(ground):
    """Whether it cannot tell on this machine; then it says why."""
    engine = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
    if not ("pauses" in ground.lacks and engine.cgroup == "1"):
        return False
    ground.daemon.run("up")
    found, missing = await rows(ground)
    assert (found, "cgroup v1" in missing) == ({}, True)
    return True


@over(ReadUsage)
async def test_what_runs_is_told_with_its_use(ground):
    if await untold(ground):
        return
    busy = ground.daemon.run("busy", "while :; do :; done")
    ground.daemon.run("idle", "head -c 20000000 /dev/zero | tail -c 1 > /dev/null; sleep 3600")
    ground.daemon.run("ended", "exit 0")
    ground.daemon.wait("ended")
    ground.daemon.run("made", start=False)
    found, missing = await rows(ground)
    assert (set(found), missing) == ({"busy", "idle"}, "")
    assert found["busy"].ref == await ground.ref("busy")
    assert found["busy"].cpu_percent > 10 or "processor" in ground.lacks
    assert found["busy"].cpu_percent <= 150
    assert found["idle"].cpu_percent < found["busy"].cpu_percent
    assert found["busy"].cpu_seconds > found["idle"].cpu_seconds
    for row in found.values():
        assert row.memory > 10_000
        assert row.memory_limit is None
        assert row.processes is None or row.processes >= 1
        assert row.network_received in (None, 0)
    used = found["busy"].cpu_seconds
    await asyncio.sleep(0.2)
    found, missing = await rows(ground, busy)
    assert (set(found), missing) == ({"busy"}, "")
    assert found["busy"].cpu_seconds > used


@over(ReadUsage)
async def test_what_ends_or_begins_between_two_readings_is_left_out_or_told(ground):
    if await untold(ground):
        return
    ground.daemon.run("first")
    ground.daemon.run("second")
    assert set((await rows(ground))[0]) == {"first", "second"}
    ground.daemon.remove("first")
    again = ground.daemon.run("third")
    ground.daemon.pause("second")
    found, missing = await rows(ground)
    assert (set(found) | {"second"}, missing) == ({"second", "third"}, "")
    ground.daemon.unpause("second")
    ground.daemon.stop("third")
    assert (await rows(ground, again)) == ({}, "")
    assert set((await rows(ground))[0]) == {"second"}


@over(ReadUsage)
async def test_many_are_read_at_once_and_by_several(ground):
    if await untold(ground):
        return
    for number in range(6):
        ground.daemon.run(f"c{number}")
    both = await asyncio.gather(rows(ground), rows(ground))
    assert all(set(found) == {f"c{number}" for number in range(6)} for found, _ in both)
