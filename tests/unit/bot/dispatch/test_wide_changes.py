"""A change of everything asks first, whatever the star is called and however few things there are."""

import msgspec
import pytest

from bot import plain_text
from core.model.events import EventKind
from core.model.invocation import Identity
from core.model.policy import Grant, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="console:bob", name="bob")


@pytest.fixture
def engine():
    made = FakeRuntime("h1", kind="docker", lacks=("pod.*", "node.*"))
    for service in ("web", "db", "api"):
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": service, "env": "dev"}
        made.add(f"shop-{service}-1", labels=labels)
    return made


async def say(valkey, engines, line, policy=None, who=None):
    async with Deck(valkey.url, engines, policy=policy) as deck:
        reply = await (deck.say(line) if who is None else deck.say(line, who))
        return reply.ending, plain_text.render(reply)


def changes(*engines):
    return [what for engine in engines for what in engine.asked if what == "change"]


@pytest.mark.parametrize(
    "line",
    [
        "stop '[!_]*'",
        "stop 'shop*'",
        "stop '*-1'",
        "stop '[a-z]*'",
        "stop '*[0-9]'",
        "restart 's*' 'shop-*'",
        "kill '*o*'",
        "pause 'shop/*'",
        "restart shop",
        "restart shop/",
        "restart shop-web-1 shop-db-1 '*api*'",
        "restart 'shop*@docker'",
        "restart 'shop*' --host h1",
    ],
)
async def test_a_pattern_or_a_group_that_is_everything_of_an_engine_asks(valkey, engine, line):
    ending, text = await say(valkey, [engine], line)
    assert ending is Ending.ASKED and "his changes every container of docker/h1" in text
    assert not changes(engine)


@pytest.mark.parametrize(
    "line",
    [
        "stop --host '*'",
        "stop --host h1",
        "stop --engine '*'",
        "stop --engine docker",
        "stop --label '*'",
        "stop --label env",
        "stop --label 'env=*'",
        "stop --label com.docker.compose.service=web",
        "start --host 'h*'",
        "unpause --host h1",
    ],
)
async def test_a_change_without_a_name_asks(valkey, engine, line):
    engine.containers = {
        key: msgspec.structs.replace(row, labels=row.labels | {"*": "x"}) for key, row in engine.containers.items()
    }
    engine.add("old", start=False)
    engine.happen(EventKind.PAUSED, next(row.ref for row in engine.containers.values() if row.ref.name == "shop-db-1"))
    ending, text = await say(valkey, [engine], line)
    assert ending is Ending.ASKED and "No name was given" in text
    assert not changes(engine)


@pytest.mark.parametrize(
    "line",
    [
        "stop shop-web-1",
        "stop shop-web-1 shop-db-1 shop-api-1",
        "restart shop/web",
        "restart shop/web shop/db shop/api",
        "restart 'shop-[wd]*'",
        "restart shop-web-1 --host '*'",
        "restart shop-w --engine docker",
    ],
)
async def test_who_names_what_is_meant_is_not_asked(valkey, engine, line):
    assert (await say(valkey, [engine], line))[0] is Ending.OK


async def test_the_only_container_is_restarted_by_its_name_unasked_and_by_a_pattern_asked(valkey):
    one = FakeRuntime("h1", kind="docker")
    one.add("web")
    assert (await say(valkey, [one], "restart web"))[0] is Ending.OK
    assert (await say(valkey, [one], "restart w"))[0] is Ending.OK
    assert (await say(valkey, [one], "restart 'w*'"))[0] is Ending.ASKED


async def test_everything_that_runs_is_everything(valkey, engine):
    engine.add("old-job", start=False)
    assert (await say(valkey, [engine], "restart 'shop-*'"))[0] is Ending.ASKED
    engine.add("cache")
    assert (await say(valkey, [engine], "restart 'shop-*'"))[0] is Ending.OK


async def test_everything_of_one_engine_among_several_asks(valkey, engine):
    other = FakeRuntime("h2", kind="docker")
    other.add("mail")
    other.add("cache")
    assert (await say(valkey, [engine, other], "restart 'mai*'"))[0] is Ending.OK
    ending, text = await say(valkey, [engine, other], "restart 'mai*' '*ache'")
    assert ending is Ending.ASKED and "docker/h2" in text


async def test_everything_that_a_person_sees_is_everything(valkey, engine):
    engine.add("hidden")
    can = ("viewer", "operator")
    mine = Grant(id="mine", who=BOB.id, can=can, on=Selector(project="shop"))
    ending, text = await say(valkey, [engine], "restart 'shop*'", Policy(grants=(mine,)), BOB)
    assert ending is Ending.ASKED and "hidden" not in text


@pytest.mark.parametrize("line", ["scale 'shop/*=2'", "scale 'shop/w*=2' 'shop/[!w]*=2'", "scale '[!_]*=2'"])
async def test_every_service_at_once_asks(valkey, engine, line):
    ending, text = await say(valkey, [engine], line)
    assert ending is Ending.ASKED and "his changes every service of docker/h1" in text
    assert (await say(valkey, [engine], "scale shop/web=2 shop/db=2 shop/api=2"))[0] is Ending.OK


async def test_every_unit_at_once_asks(valkey):
    podman = FakeRuntime("h1", kind="podman")
    for name in ("web", "db"):
        podman.add_unit(podman.add(name, start=False))
    ending, text = await say(valkey, [podman], "unit start '[!_]*'")
    assert ending is Ending.ASKED
    assert "his changes every unit of podman/h1" in text or "removes" in text


async def test_the_question_is_answered_once_and_does_it(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("restart --label env=dev")
        assert (await deck.say(asked.buttons[0].line)).ending is Ending.OK
        assert len(changes(engine)) == 3
