"""Command lines that no person gives: what asks is refused, unless its question was answered before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.model.healing import guard_digest
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from tests.unit.bot.dispatch.world import VIEWER, World, words

RULE = Identity(id="rule:restart-web", name="healing rule restart-web")
GRANT = Grant(id="healing.0", who=RULE.id, can=("container.restart", "container.remove"))
CONFIRM = Guard(id="guards.0", can=("ends",), ask=Ask.CONFIRM, on=Selector(name="web"))
OTHER = Guard(id="guards.1", can=("container.restart",), ask=Ask.CONFIRM)


@pytest.fixture
async def made(valkey):
    worlds = []

    def make(*guards):
        worlds.append(World(valkey, grants=(VIEWER, GRANT), guards=guards))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.aclose()


async def answer(world, line, *answered):
    dispatcher = await world.replica()
    digests = frozenset(guard_digest(guard) for guard in answered)
    return await dispatcher.answer(replace(world.line(line, RULE), answered_guards=digests))


async def test_what_is_allowed_runs(made):
    world = made()
    assert (await answer(world, "restart web")).ending is Ending.OK
    assert world.engine.done == [("container.restart", "web")]


async def test_a_guard_that_asks_refuses_unless_it_is_answered(made):
    world = made(CONFIRM)
    refused = await answer(world, "restart web")
    assert refused.ending is Ending.REFUSED and not refused.buttons
    assert "guards.0" in words(refused) and "nobody is there to answer" in words(refused)
    assert [row["phase"] for row in await world.rows()] == ["refused"]
    assert (await answer(world, "restart web", CONFIRM)).ending is Ending.OK
    assert world.engine.done == [("container.restart", "web")]


async def test_each_guard_is_answered_by_itself(made):
    world = made(CONFIRM, OTHER)
    assert (await answer(world, "restart web", CONFIRM)).ending is Ending.REFUSED
    assert (await answer(world, "restart web", CONFIRM, OTHER)).ending is Ending.OK


@pytest.mark.parametrize("ask", [Ask.APPROVE, Ask.DENY])
async def test_an_approval_and_a_denial_cannot_be_answered_before(made, ask):
    guard = replace(CONFIRM, ask=ask)
    world = made(guard)
    assert (await answer(world, "restart web", guard)).ending is Ending.REFUSED
    assert world.engine.done == []


@pytest.mark.parametrize("line", ["rm web", "restart --label env"])
async def test_the_brakes_refuse(made, line):
    """What cannot be undone, and what is chosen by no name."""
    world = made()
    assert (await answer(world, line)).ending is Ending.REFUSED
    assert world.engine.done == []


async def test_a_person_is_asked_as_before(made):
    world = made(CONFIRM)
    dispatcher = await world.replica()
    assert (await dispatcher.answer(world.line("restart web", RULE))).ending is Ending.ASKED
