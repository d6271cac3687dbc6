"""Who reads that a change starts: everybody, but for engines that do not answer only if something may have happened."""

from __future__ import annotations

import asyncio

import pytest

from core import errors
from core.model.replies import Ending
from runtimes.inventory.mirror import Mirror
from tests.unit.bot.dispatch import world as worlds
from tests.unit.bot.dispatch.world import World, words

SILENCE = errors.TimedOut("docker@h1 did not answer.", sent=True)


class Listener:
    """Notes in order what a surface is told."""

    def __init__(self):
        self.told = []

    def started(self, action):
        self.told.append(("started", action.line, tuple(action.names)))

    def progress(self, progress):
        return True

    async def finish(self, reply):
        self.told.append(("finished", reply.ending))
        self.everyone = reply.everyone


@pytest.fixture
async def world(valkey):
    made = World(valkey)
    yield made
    await made.aclose()


async def watched(world):
    """A replica whose engine is behind a mirror, which knows its containers."""
    dispatcher = await world.replica()
    mirror = Mirror(world.engine)
    mirror.replace(world.engine.rows.values(), 1)
    dispatcher._fleet.remove(world.engine)
    dispatcher._fleet.add(mirror)
    return dispatcher, mirror


async def test_a_change_is_announced_before_it_runs(world):
    dispatcher, _ = await watched(world)
    world.engine.gate = asyncio.Event()
    listener = Listener()
    answer = asyncio.create_task(dispatcher.answer(world.line("restart web"), listener))
    async with asyncio.timeout(60):
        while not listener.told:
            await asyncio.sleep(0.01)
    assert listener.told == [("started", "restart web", ("web",))]
    world.engine.gate.set()
    await answer
    assert [each[0] for each in listener.told] == ["started", "finished"]


@pytest.mark.parametrize("line", ["restart web", "restart web db", "stop api", "rm -f job"])
async def test_a_change_that_a_silent_engine_never_gets_is_announced_to_nobody(world, line):
    dispatcher, mirror = await watched(world)
    mirror.engine_silent(SILENCE)
    world.engine.fails = errors.Unreachable("docker@h1 does not answer.")
    listener = Listener()
    reply = await dispatcher.answer(world.line(line), listener)
    if reply.ending is Ending.ASKED:
        listener.told.clear()
        reply = await dispatcher.answer(world.line(reply.buttons[0].line), listener)
    assert [each[0] for each in listener.told] == ["finished"], words(reply)
    assert listener.everyone is False
    assert not world.engine.done


@pytest.mark.parametrize(
    ("fails", "ending"),
    [(None, Ending.OK), (errors.TimedOut("docker@h1 did not answer.", sent=True), Ending.UNKNOWN)],
    ids=["it is back", "the outcome is unknown"],
)
async def test_what_a_silent_engine_did_or_may_have_done_is_announced_with_its_outcome(world, fails, ending):
    dispatcher, mirror = await watched(world)
    mirror.engine_silent(SILENCE)
    world.engine.fails = fails
    listener = Listener()
    reply = await dispatcher.answer(world.line("restart web"), listener)
    assert listener.told == [("started", "restart web", ("web",)), ("finished", ending)], words(reply)
    assert listener.everyone is True


async def test_a_change_on_a_silent_and_a_healthy_engine_is_announced_at_once(world):
    dispatcher, mirror = await watched(world)
    other = worlds.Engine(worlds.EngineRef(host="h2", kind="podman"))
    other.rows.clear()
    other.add("front", {})
    dispatcher._fleet.add(other)
    mirror.engine_silent(SILENCE)
    world.engine.fails = errors.Unreachable("docker@h1 does not answer.")
    listener = Listener()
    await dispatcher.answer(world.line("restart web front"), listener)
    assert listener.told[0] == ("started", "restart web front", ("front", "web"))
    assert other.done == [("container.restart", "front")]
