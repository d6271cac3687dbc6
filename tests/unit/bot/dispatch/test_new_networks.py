"""Networks, volumes and names of images, changed through the whole dispatcher."""

from __future__ import annotations

import pytest

from bot import plain_text
from core.model.invocation import Identity
from core.model.policy import Grant, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="slack:T1/U1", name="bob")
OPERATOR = Policy(grants=(Grant(id="g1", who=BOB.id, can=("operator",)),))


def text(reply) -> str:
    return plain_text.render(reply, width=120)


@pytest.fixture
def engine() -> FakeRuntime:
    made = FakeRuntime("host7", kind="docker")
    made.add("web")
    made.add("guarded", labels={"quarterdeck.protected": "true"})
    made.add_network("back")
    made.add_volume("data")
    made.add_image("nginx:1.27")
    return made


async def test_a_network_is_created_joined_left_and_removed(valkey, engine):
    async with Deck(valkey.url, (engine,)) as deck:
        for line, word in (
            ("docker network create --driver bridge --subnet 10.9.0.0/16 -l team=a front", "front created"),
            ("network connect front web", "web connected"),
            ("network disconnect front web", "web disconnected"),
        ):
            reply = await deck.say(line)
            assert reply.ending is Ending.OK and word in text(reply), text(reply)
        made = next(row for row in engine.networks.values() if row.ref.name == "front")
        assert (made.subnets, made.labels) == (("10.9.0.0/16",), {"team": "a"})
        asked = await deck.say("network rm front")
        assert asked.ending is Ending.ASKED and made.ref.id in engine.networks
        assert (await deck.say(asked.buttons[0].line)).ending is Ending.OK
        assert made.ref.id not in engine.networks


@pytest.mark.parametrize("line", ["network connect back guarded", "network disconnect back guarded"])
async def test_the_networks_of_a_protected_container_stay(valkey, engine, line):
    async with Deck(valkey.url, (engine,)) as deck:
        reply = await deck.say(line)
    assert reply.ending is Ending.REFUSED and "protected" in text(reply)
    assert not engine.joined and "change" not in engine.asked


@pytest.mark.parametrize(
    "line",
    [
        "network create front",
        "network connect back web",
        "network disconnect back web",
        "network rm back",
        "volume create cache",
        "volume rm data",
        "tag nginx:1.27 shop/web:2",
        "rmi nginx:1.27",
        "push nginx:1.27",
        "run busybox",
        "create busybox",
    ],
)
async def test_an_operator_has_none_of_them(valkey, engine, line):
    async with Deck(valkey.url, (engine,), policy=OPERATOR) as deck:
        reply = await deck.say(line, BOB)
    assert reply.ending is Ending.REFUSED, text(reply)
    assert "change" not in engine.asked


async def test_both_the_network_and_the_container_must_be_allowed(valkey, engine):
    grants = tuple(
        Grant(id=f"g{number}", who=BOB.id, can=("*",), on=Selector(name=name))
        for number, name in enumerate(("web", "front"))
    )
    async with Deck(valkey.url, (engine,), policy=Policy(grants=grants)) as deck:
        reply = await deck.say("network connect back web", BOB)
        assert reply.ending is not Ending.OK and not engine.joined
        await deck.say("network create front")
        assert (await deck.say("network connect front web", BOB)).ending is Ending.OK


async def test_volumes_and_names_of_images(valkey, engine):
    async with Deck(valkey.url, (engine,)) as deck:
        assert (await deck.say("volume create cache")).ending is Ending.OK
        assert "exists already" in text(await deck.say("volume create cache"))
        assert (await deck.say("docker tag nginx:1.27 shop/web:2")).ending is Ending.OK
        assert engine.tags["shop/web:2"] == engine.tags["nginx:1.27"]
        assert (await deck.say("push shop/web:2")).ending is Ending.OK
        asked = await deck.say("docker rmi shop/web:2")
        assert asked.ending is Ending.ASKED
        await deck.say(asked.buttons[0].line)
        assert "shop/web:2" not in engine.tags and "nginx:1.27" in engine.tags
