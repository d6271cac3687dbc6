"""Daemons that become managers of Swarms and stop being so: one engine for each Swarm, and none that nobody manages."""

import asyncio

import pytest

from core import errors
from core.model import actions
from core.model.refs import EngineRef
from runtimes.inventory import fleet
from runtimes.swarm import membership as swarm_membership
from runtimes.swarm.managers import Membership
from tests.unit.runtimes.swarm.test_managers import NO_MANAGER, Door, read

NONE = Membership(manager=False)
LEADERLESS = Membership(manager=True)
FIRST, SECOND = "k1" * 12, "k2" * 12


class Daemon(Door):
    def __init__(self, name):
        super().__init__(name)
        self.now = NONE
        self.looks = 0
        self.tell = None

    async def meet(self, seconds):
        self.tell(await self.membership(seconds))

    async def membership(self, seconds):
        self.looks += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


def managing(cluster):
    return Membership(manager=True, cluster=cluster)


@pytest.fixture
def daemons():
    return [Daemon("a"), Daemon("b"), Daemon("c")]


@pytest.fixture
def table(daemons):
    return swarm_membership.Clusters(dict.fromkeys(daemons, ""))


def there(table):
    return {str(engine.ref): [door.ref.host for door in engine.doors.all] for engine in table.engines if engine.present}


async def told(table, daemons, *memberships):
    for daemon, now in zip(daemons, memberships, strict=True):
        daemon.now = now
    await table.look(1.0)
    return there(table)


async def test_managers_of_one_swarm_are_doors_of_one_engine(table, daemons):
    assert await told(table, daemons, NONE, NONE, NONE) == {}
    assert await told(table, daemons, managing(FIRST), NONE, managing(FIRST)) == {f"swarm/{FIRST[:12]}": ["a", "c"]}
    (engine,) = [engine for engine in table.engines if engine.present]
    assert engine.engine_id == FIRST
    assert "node.list" in engine.verbs and "container.list" not in engine.verbs


async def test_the_engine_outlives_the_daemon_it_came_with(table, daemons):
    await told(table, daemons, managing(FIRST), managing(FIRST), NONE)
    (engine,) = [engine for engine in table.engines if engine.present]
    assert await told(table, daemons, NONE, managing(FIRST), NONE) == {f"swarm/{FIRST[:12]}": ["b"]}
    # Which may even be a manager of another Swarm by now.
    told_now = await told(table, daemons, managing(SECOND), managing(FIRST), NONE)
    assert told_now == {f"swarm/{FIRST[:12]}": ["b"], f"swarm/{SECOND[:12]}": ["a"]}
    assert engine.present and engine.engine_id == FIRST
    assert await told(table, daemons, NONE, NONE, NONE) == {}
    # One that comes back is the engine it was.
    await told(table, daemons, NONE, NONE, managing(FIRST))
    assert engine.present


async def test_three_daemons_may_manage_three_swarms_and_change_about(table, daemons):
    names = [f"k{n}" * 12 for n in range(1, 6)]
    for turn in range(5):
        now = [managing(names[(turn + n) % 5]) for n in range(3)]
        assert len(await told(table, daemons, *now)) == 3


async def test_one_that_does_not_answer_or_has_no_leader_stays_what_it_was(table, daemons):
    await told(table, daemons, managing(FIRST), NONE, NONE)
    for trouble in (errors.Unreachable("gone"), errors.TimedOut("silent", sent=True), LEADERLESS):
        assert await told(table, daemons, trouble, NONE, NONE) == {f"swarm/{FIRST[:12]}": ["a"]}
    assert await told(table, daemons, managing(FIRST), LEADERLESS, NONE) == {f"swarm/{FIRST[:12]}": ["a"]}


async def test_a_swarm_may_be_called_by_a_name_and_two_may_not_share_it(daemons):
    table = swarm_membership.Clusters({daemons[0]: "prod", daemons[1]: "prod", daemons[2]: ""})
    assert await told(table, daemons, managing(FIRST), managing(SECOND), NONE) == {
        "swarm/prod": ["a"],
        f"swarm/{SECOND[:12]}": ["b"],
    }


async def test_those_that_are_none_are_nowhere(table, daemons):
    deck = fleet.Fleet(table.engines)
    assert list(deck.runtimes) == []
    with pytest.raises(errors.NotFound):
        deck.runtime(EngineRef(host="a", kind="swarm"))
    await told(table, daemons, managing(FIRST), NONE, NONE)
    assert [str(one.ref) for one in deck.runtimes] == [f"swarm/{FIRST[:12]}"]


async def test_a_door_that_says_it_leads_nowhere_is_looked_at_at_once(table, daemons, monkeypatch):
    monkeypatch.setattr(swarm_membership, "LOOK_EVERY", 3600.0)
    first, second, _ = daemons
    first.now = second.now = managing(FIRST)
    keeping = asyncio.create_task(table.keep())
    try:
        async with asyncio.timeout(10):
            while len(there(table).get(f"swarm/{FIRST[:12]}", ())) != 2:
                await asyncio.sleep(0)
            first.answers, first.now, second.answers = [NO_MANAGER], NONE, [b"[]"]
            engine = next(engine for engine in table.engines if engine.present)
            assert await read(engine.doors) == b"[]"
            while there(table) != {f"swarm/{FIRST[:12]}": ["b"]}:
                await asyncio.sleep(0.01)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def test_what_it_cannot_do_is_refused_with_what_it_can(table):
    engine = table.engines[0]
    assert "service.logs" in engine._alternative("container.logs")
    assert "the node they run on" in engine._alternative(actions.ListContainers.verb)
