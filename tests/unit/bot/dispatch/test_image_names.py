"""Names of images, changed through the whole dispatcher."""

from __future__ import annotations

import pytest

from bot import plain_text
from core.model.invocation import Identity
from core.model.policy import Grant, Policy
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="slack:T1/U1", name="bob")
OPERATOR = Policy(grants=(Grant(id="g1", who=BOB.id, can=("operator",)),))


@pytest.fixture
def engine() -> FakeRuntime:
    made = FakeRuntime("host7", kind="docker")
    made.add_image("nginx:1.27")
    return made


async def test_a_name_is_given_pushed_and_taken_away(valkey, engine):
    async with Deck(valkey.url, (engine,)) as deck:
        assert (await deck.say("docker tag nginx:1.27 shop/web:2")).ending is Ending.OK
        assert engine.tags["shop/web:2"] == engine.tags["nginx:1.27"]
        assert (await deck.say("push shop/web:2")).ending is Ending.OK
        asked = await deck.say("docker rmi shop/web:2")
        assert asked.ending is Ending.ASKED and "shop/web:2" in engine.tags
        assert (await deck.say(asked.buttons[0].line)).ending is Ending.OK
        assert "shop/web:2" not in engine.tags and "nginx:1.27" in engine.tags


@pytest.mark.parametrize("line", ["tag nginx:1.27 shop/web:2", "rmi nginx:1.27", "push nginx:1.27"])
async def test_an_operator_has_none_of_them(valkey, engine, line):
    async with Deck(valkey.url, (engine,), policy=OPERATOR) as deck:
        reply = await deck.say(line, BOB)
    assert reply.ending is Ending.REFUSED, plain_text.render(reply)
    assert "change" not in engine.asked
