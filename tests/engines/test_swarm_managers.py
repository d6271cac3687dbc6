"""A Swarm of three managers, each a door to the one engine: the leader dies, a node drains, too few are left."""

import asyncio

import pytest

from core import errors
from core.model import actions
from core.model import swarm as model_swarm
from core.model.events import EventKind
from core.model.replies import Status
from tests.daemons.swarm import Opened, three_managers
from tests.engines.test_swarm import do, listening, of, service, until
from tests.helpers.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture
def trio():
    with three_managers() as cluster:
        yield cluster


async def node(swarm, name):
    rows = (await do(swarm, model_swarm.ListNodes(engine=swarm.ref))).rows
    return next(row for row in rows if row.ref.name == name)


async def answered(swarm):
    """A Swarm without a leader says nothing for the ten seconds and more it takes to choose one."""
    async with asyncio.timeout(150):
        while True:
            try:
                return [row.ref for row in (await do(swarm, actions.ListServices(engine=swarm.ref))).rows]
            except errors.EngineError as error:
                assert "elects a new leader" in error.hint or "no leader" in error.message, error


async def test_three_doors_to_one_engine_until_too_few_are_left(trio):
    """One story, for three daemons take their time to begin."""
    first, second, third = trio.daemons
    trio.serve("web", replicas=3)
    wait_for("the tasks", lambda: trio.states("web") == ["running"] * 3)
    opened = await Opened(first, second, third).meet()
    keeping = asyncio.create_task(opened.tracker.keep_polling())
    try:
        swarm = opened.swarm
        assert swarm.ref.host == trio.id[:12]
        told = await do(swarm, actions.DescribeEngine(engine=swarm.ref))
        assert sorted(told.address.split(", ")) == sorted(daemon.url for daemon in trio.daemons)
        assert told.notes[0] == "3 nodes, 3 of them managers."
        target = (await service(swarm, "web")).ref
        async with listening(swarm) as heard:
            # ── a node drains: its tasks go elsewhere, and it may have some again ─────────────────────────────────
            m3 = (await node(swarm, "m3")).ref
            drain = model_swarm.DrainNode(engine=swarm.ref, target=m3)
            assert (await do(swarm, drain)).status == Status.DONE
            assert (await do(swarm, drain)).status == Status.NOOP
            (drained,) = await until(lambda: of(heard, EventKind.NODE_STATE, "drain"))
            assert (drained.subject, drained.attrs["availability"]) == (m3, "drain")

            async def moved():
                rows = (await do(swarm, model_swarm.ListTasks(engine=swarm.ref, service=target.id, ended=False))).rows
                return len(rows) == 3 and {(row.state, row.node == "m3") for row in rows} == {("running", False)}

            async with asyncio.timeout(60):
                while not await moved():
                    await asyncio.sleep(0.1)
            assert (await node(swarm, "m3")).tasks == 0
            activate = model_swarm.ActivateNode(engine=swarm.ref, target=m3)
            assert (await do(swarm, activate)).status == Status.DONE
            # ── the leader dies: another door answers, and only that it died is told ──────────────────────────────
            await asyncio.to_thread(first.kill)
            assert await answered(swarm) == [target]
            (down,) = await until(lambda: of(heard, EventKind.NODE_STATE, "down"), 150)
            assert (down.subject.name, down.attrs["state"]) == ("m1", "down")
            states = {(event.subject.name, event.action) for event in of(heard, EventKind.NODE_STATE)}
            assert {name for name, state in states if state in ("down", "unknown")} == {"m1"}
            told = await do(swarm, actions.DescribeEngine(engine=swarm.ref))
            assert not told.fault and "m1 is down." in told.notes
            assert any("one more, and the Swarm has no leader" in note for note in told.notes)
            assert (await do(swarm, model_swarm.DrainNode(engine=swarm.ref, target=m3))).status == Status.DONE
        # ── and another: what is left cannot say or do anything, and says so ──────────────────────────────────────
        await asyncio.to_thread(third.kill)

        async def leaderless():
            try:  # the one that leads takes its time to see that nobody follows
                await do(swarm, actions.ListServices(engine=swarm.ref), seconds=10)
            except errors.EngineError as error:
                return "has no leader" in error.message
            return False

        async with asyncio.timeout(150):
            while not await leaderless():
                await asyncio.sleep(0.5)
        assert opened.swarm is swarm
        with pytest.raises(errors.EngineError, match="has no leader") as caught:
            await do(swarm, activate)
        assert not getattr(caught.value, "sent", False) and "more than half" in caught.value.hint
        told = await do(swarm, actions.DescribeEngine(engine=swarm.ref))
        assert "has no leader" in told.fault and told.verbs
        # The containers of the node that is left are as they were, and its engine tells of them.
        own = next(engine for engine in opened.daemons if engine.ref.host == "m2")
        assert (await do(own, actions.ListContainers(engine=own.ref))).rows
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await opened.aclose()
