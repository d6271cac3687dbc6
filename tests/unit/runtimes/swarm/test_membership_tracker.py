"""Daemons that become managers of Swarms and stop being so: one engine for each Swarm, while it runs."""

import asyncio

import pytest

from core import errors
from core.model import actions
from core.model.refs import EngineRef
from runtimes.swarm import engine as swarm_engine
from runtimes.swarm import membership_tracker
from runtimes.swarm.json_models import SwarmManagerStatus
from tests.unit.runtimes.swarm.test_manager_pool import NO_MANAGER, Manager, read

NONE = SwarmManagerStatus(manager=False)
LEADERLESS = SwarmManagerStatus(manager=True)
FIRST, SECOND = "k1" * 12, "k2" * 12


class Daemon(Manager):
    def __init__(self, name):
        super().__init__(name)
        self.now = NONE
        self.polls = 0
        self.on_membership = None

    async def meet(self, seconds):
        self.on_membership(await self.membership(seconds))

    async def membership(self, seconds):
        self.polls += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class Tracked:
    """A tracker, and what it opened and removed."""

    def __init__(self, *daemons, names=("", "", "")):
        self.opened, self.removed = [], []
        self.tracker = membership_tracker.MembershipTracker(self.opened.append, self.removed.append)
        self.daemons = daemons
        for daemon, name in zip(daemons, names, strict=True):
            self.tracker.add(daemon, name)

    def now(self):
        """The Swarms there are, with their managers."""
        assert [one for one in self.opened if one not in self.removed] == list(self.tracker.swarms)
        return {str(one.ref): [manager.ref.host for manager in one.managers.all] for one in self.tracker.swarms}

    async def polled(self, *memberships):
        for daemon, now in zip(self.daemons, memberships, strict=True):
            daemon.now = now
        await self.tracker.poll(1.0)
        return self.now()


def managing(cluster):
    return SwarmManagerStatus(manager=True, cluster=cluster)


@pytest.fixture
def tracked():
    return Tracked(Daemon("a"), Daemon("b"), Daemon("c"))


async def test_managers_of_one_swarm_share_one_engine(tracked):
    assert await tracked.polled(NONE, NONE, NONE) == {}
    assert await tracked.polled(managing(FIRST), NONE, managing(FIRST)) == {f"swarm/{FIRST[:12]}": ["a", "c"]}
    (engine,) = tracked.tracker.swarms
    assert engine.engine_id == FIRST
    assert "node.list" in engine.verbs and "container.list" not in engine.verbs


async def test_the_engine_outlives_the_daemon_it_was_opened_for(tracked):
    await tracked.polled(managing(FIRST), managing(FIRST), NONE)
    (engine,) = tracked.tracker.swarms
    assert await tracked.polled(NONE, managing(FIRST), NONE) == {f"swarm/{FIRST[:12]}": ["b"]}
    # Which may even be a manager of another Swarm by now.
    now = await tracked.polled(managing(SECOND), managing(FIRST), NONE)
    assert now == {f"swarm/{FIRST[:12]}": ["b"], f"swarm/{SECOND[:12]}": ["a"]}
    assert tracked.removed == [] and tracked.tracker.swarms[0] is engine
    assert await tracked.polled(NONE, NONE, NONE) == {}
    assert len(tracked.removed) == 2
    # One that comes back is a new engine of the same id, under which its cursor is stored.
    await tracked.polled(NONE, NONE, managing(FIRST))
    (again,) = tracked.tracker.swarms
    assert again is not engine and again.engine_id == FIRST and again.ref == engine.ref


async def test_three_daemons_may_manage_three_swarms_and_change_about(tracked):
    names = [f"k{n}" * 12 for n in range(1, 6)]
    for turn in range(100):
        now = [managing(names[(turn + n) % 5]) for n in range(3)]
        assert len(await tracked.polled(*now)) == 3


async def test_one_that_does_not_answer_or_has_no_leader_stays_what_it_was(tracked):
    await tracked.polled(managing(FIRST), NONE, NONE)
    for trouble in (errors.Unreachable("gone"), errors.TimedOut("silent", sent=True), LEADERLESS):
        assert await tracked.polled(trouble, NONE, NONE) == {f"swarm/{FIRST[:12]}": ["a"]}
    assert await tracked.polled(managing(FIRST), LEADERLESS, NONE) == {f"swarm/{FIRST[:12]}": ["a"]}


async def test_a_daemon_that_is_removed_leaves_its_swarm_and_its_late_answers_change_nothing(tracked):
    first, second, _ = tracked.daemons
    await tracked.polled(managing(FIRST), managing(FIRST), NONE)
    tracked.tracker.remove(first)
    assert tracked.now() == {f"swarm/{FIRST[:12]}": ["b"]}
    await first.meet(1.0)
    assert tracked.now() == {f"swarm/{FIRST[:12]}": ["b"]}
    tracked.tracker.remove(second)
    tracked.tracker.remove(second)
    assert tracked.now() == {} and len(tracked.removed) == 1
    # It may be added again.
    tracked.tracker.add(first)
    await first.meet(1.0)
    assert tracked.now() == {f"swarm/{FIRST[:12]}": ["a"]}


async def test_a_swarm_may_be_called_by_a_name_and_two_may_not_share_it():
    tracked = Tracked(Daemon("a"), Daemon("b"), Daemon("c"), names=("prod", "prod", ""))
    assert await tracked.polled(managing(FIRST), managing(SECOND), NONE) == {
        "swarm/prod": ["a"],
        f"swarm/{SECOND[:12]}": ["b"],
    }


async def test_a_manager_that_says_it_is_none_is_polled_at_once(tracked, monkeypatch):
    monkeypatch.setattr(membership_tracker, "POLL_SECONDS", 3600.0)
    first, second, _ = tracked.daemons
    first.now = second.now = managing(FIRST)
    polling = asyncio.create_task(tracked.tracker.keep_polling())
    try:
        async with asyncio.timeout(60):
            while len(tracked.now().get(f"swarm/{FIRST[:12]}", ())) != 2:
                await asyncio.sleep(0)
            first.answers, first.now, second.answers = [NO_MANAGER], NONE, [b"[]"]
            assert await read(tracked.tracker.swarms[0].managers) == b"[]"
            while tracked.now() != {f"swarm/{FIRST[:12]}": ["b"]}:
                await asyncio.sleep(0.01)
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)


def test_what_it_cannot_do_is_refused_with_what_it_can():
    engine = swarm_engine.Swarm(EngineRef(host="k1", kind="swarm"), FIRST, on_refused=lambda manager: None)
    assert "service logs NAME" in engine.alternative("container.logs")
    assert "the engine of their node" in engine.alternative(actions.ListContainers.verb)
