"""What people see and may do of an engine that does not answer, from the rows that it reported last."""

from __future__ import annotations

import pytest

from core.model import actions
from core.model.containers import Containers
from core.model.policy import Grant, Policy
from core.model.policy_selectors import Selector
from core.model.refs import EngineRef
from core.model.replies import Ending, Table
from runtimes.base.base_adapter import does
from tests.unit.bot.dispatch import world as worlds
from tests.unit.bot.dispatch.world import ADMIN, BOB, World, words

SILENT = EngineRef(host="h2", kind="podman")


class Silent(worlds.Engine):
    """Answers lists as a mirror does for an engine that is known to be silent."""

    def __init__(self, age):
        super().__init__(SILENT)
        self.age = age

    @does(actions.ListContainers)
    async def list(self, action, seconds):
        reason = f"{SILENT} did not answer."
        return Containers(rows=tuple(self.rows.values()), source="mirror", age=self.age, missing=reason)


@pytest.fixture
async def world(valkey):
    made = World(valkey)
    prod = Selector(labels=(("env", "prod"),))
    limited = Grant(id="limited", who=BOB.id, can=("viewer", "container.restart"), on=prod)
    made.policy = Policy(grants=(ADMIN, limited))
    made.engine.rows.clear()
    made.engine.add("front", {"env": "prod"})
    yield made
    await made.aclose()


async def beside(world, age):
    dispatcher = await world.replica()
    dispatcher._fleet.add(Silent(age))
    return dispatcher


def names(reply):
    return [row[0] for block in reply.blocks if isinstance(block, Table) for row in block.rows]


async def test_its_last_rows_are_listed_with_their_age_and_the_reason(world):
    dispatcher = await beside(world, 200.0)
    reply = await dispatcher.answer(world.line("ps"))
    assert reply.ending is Ending.OK
    assert set(names(reply)) == {"front", "web", "web-2", "db", "api", "job"}
    assert f"{SILENT}: {SILENT} did not answer. This list is 3 min old." in words(reply)
    assert (await dispatcher.answer(world.line("restart front"))).ending is Ending.OK
    unknown = await dispatcher.answer(world.line("restart nothing"))
    assert f"{SILENT} did not answer" in words(unknown)


@pytest.mark.parametrize(("age", "seen"), [(30.0, ["front", "web"]), (61.0, ["front"]), (86_400.0, ["front"])])
async def test_labels_older_than_a_minute_permit_nothing(world, age, seen):
    dispatcher = await beside(world, age)
    reply = await dispatcher.answer(world.line("ps", who=BOB))
    assert sorted(names(reply)) == seen
    change = await dispatcher.answer(world.line("restart web", who=BOB))
    assert (change.ending is Ending.OK) is ("web" in seen)
    assert (await dispatcher.answer(world.line("restart front", who=BOB))).ending is Ending.OK
