"""How many round trips to a real store one command costs, from its first byte until it is forgotten after its reply."""

import asyncio
import contextlib

import pytest
import redis.asyncio.connection

from core.model.replies import Ending
from core.store.client import Store
from tests.unit.bot.dispatch.world import ANN, BOB, World


class Responder:
    """Counts with the rest: a reply is delivered before the invocation is forgotten."""

    def started(self, started):
        pass

    async def finish(self, reply):
        self.reply = reply


@pytest.fixture
async def world(valkey):
    made = World(valkey)
    yield made
    await made.aclose()


@pytest.fixture
def sent(monkeypatch):
    """What each round trip sent: one or more commands in one write."""
    written = []
    original = redis.asyncio.connection.AbstractConnection.send_packed_command

    async def counting(self, command, *more, **named):
        written.append(b"".join(command) if isinstance(command, list) else command)
        return await original(self, command, *more, **named)

    monkeypatch.setattr(redis.asyncio.connection.AbstractConnection, "send_packed_command", counting)
    return written


async def measured(dispatcher, world, sent, line, who=ANN):
    """The reply to one line, and its round trips."""
    sent.clear()
    reply = await dispatcher.answer(world.line(line, who), Responder())
    return reply, len(sent)


async def warm(world, dispatcher):
    """Loads the scripts and opens more connections than any plan here needs."""
    await asyncio.gather(*(world.stores[0].ping() for _ in range(10)))
    for line in ("ps", "restart web web-2 db", "restart api"):
        assert (await dispatcher.answer(world.line(line), Responder())).ending is Ending.OK


async def test_a_change_on_one_target_costs_four(world, sent):
    dispatcher = await world.replica()
    await warm(world, dispatcher)
    reply, trips = await measured(dispatcher, world, sent, "restart web")
    assert reply.ending is Ending.OK
    assert trips == 4  # enter; leases, intent and phase; outcome, release and phase; forget
    assert all(b"EVALSHA" in each for each in sent)


@pytest.mark.parametrize(("targets", "wanted"), [("web", 4), ("web web-2", 5), ("web web-2 db", 6)])
async def test_each_further_target_costs_one_more(world, sent, targets, wanted):
    dispatcher = await world.replica()
    await warm(world, dispatcher)
    reply, trips = await measured(dispatcher, world, sent, f"restart {targets}")
    assert (reply.ending, trips) == (Ending.OK, wanted)


async def test_a_confirmed_change_costs_the_question_too(world, sent):
    dispatcher = await world.replica()
    await warm(world, dispatcher)
    await dispatcher.answer(world.line("rm -f job"), Responder())  # loads the script that records a question
    asked, trips = await measured(dispatcher, world, sent, "restart web web-2 db api job")
    assert (asked.ending, trips) == (Ending.ASKED, 4)  # enter; question; audit; forget
    reply, trips = await measured(dispatcher, world, sent, asked.buttons[0].line)
    assert (reply.ending, trips) == (Ending.OK, 9)  # enter; peek; begin; 4 outcomes; end; forget


@pytest.mark.parametrize("rows", [5, 200])
async def test_a_read_costs_three_whatever_it_shows(world, sent, rows):
    for number in range(rows - len(world.engine.rows)):
        world.engine.add(f"more-{number}", {})
    dispatcher = await world.replica()
    await warm(world, dispatcher)
    reply, trips = await measured(dispatcher, world, sent, "ps -a")
    assert (reply.ending, trips) == (Ending.OK, 3)  # enter; audit; forget


async def test_a_refusal_costs_four_and_a_second_delivery_one(world, sent):
    dispatcher = await world.replica()
    await warm(world, dispatcher)
    await dispatcher.answer(world.line("restart web-2", BOB), Responder())  # loads the script that folds refusals
    reply, trips = await measured(dispatcher, world, sent, "restart web", BOB)
    assert (reply.ending, trips) == (Ending.REFUSED, 4)  # enter; audit; the names of who may grant; forget
    inv = world.line("restart web")
    assert await dispatcher.answer(inv) is not None
    sent.clear()
    assert await dispatcher.answer(inv) is None
    assert len(sent) == 1


async def test_the_server_counts_the_same(world, valkey):
    """The figure is not made up by where the test counts: the server saw four calls from its clients."""
    dispatcher = await world.replica()
    await warm(world, dispatcher)
    async with contextlib.aclosing(Store.open(valkey.url)) as other:
        client = other._client
        await client.config_resetstat()
        await dispatcher.answer(world.line("restart web"), Responder())
        calls = {name: stats["calls"] for name, stats in (await client.info("commandstats")).items()}
    assert calls["cmdstat_evalsha"] == 4
    assert not {"cmdstat_multi", "cmdstat_eval", "cmdstat_script|load", "cmdstat_ping"} & calls.keys()
