"""Which of the offered next steps a person sees: those that they may use, that an engine can do, and that are known in
time. An ambiguous name becomes buttons."""

from __future__ import annotations

import pytest

from bot.dispatch import offered_buttons
from core.model.actions import ListContainers
from core.model.invocation import Identity
from core.model.policy import Grant, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from runtimes.base.base_adapter import does
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

ANN, BOB, EVE = (Identity(id=f"console:{name}", name=name) for name in ("ann", "bob", "eve"))
POLICY = Policy(
    grants=(
        Grant(id="ann", who=ANN.id, can=("viewer", "operator")),
        Grant(id="bob", who=BOB.id, can=("viewer",)),
        Grant(id="eve", who=EVE.id, can=("container.list", "help.show")),
    )
)


def engine(*, lacks=()):
    made = FakeRuntime("h1", kind="docker", lacks=lacks)
    made.add("web", log=["ready"])
    return made


def offers(reply):
    return [button.label for button in reply.buttons]


async def test_each_person_is_offered_what_they_may_do(valkey):
    async with Deck(valkey.url, [engine()], policy=POLICY) as deck:
        assert offers(await deck.say("ps web", ANN)) == ["Logs", "Follow", "Restart", "Events"]
        assert offers(await deck.say("ps web", BOB)) == ["Logs", "Follow", "Events"]
        assert offers(await deck.say("ps web", EVE)) == []
        assert offers(await deck.say("", EVE)) == ["Containers", "All commands"]


async def test_a_grant_for_some_containers_offers_only_there(valkey):
    made = engine()
    made.add("db", labels={"env": "prod"}, log=["ready"])
    prod = Grant(id="bob2", who=BOB.id, can=("container.restart",), on=Selector(labels=(("env", "prod"),)))
    async with Deck(valkey.url, [made], policy=Policy(grants=(*POLICY.grants, prod))) as deck:
        assert "Restart" in offers(await deck.say("logs db", BOB))
        assert "Restart" not in offers(await deck.say("logs web", BOB))


async def test_what_no_engine_can_do_and_what_is_frozen_is_not_offered(valkey):
    async with Deck(valkey.url, [engine(lacks=("container.logs",))], policy=POLICY) as deck:
        assert offers(await deck.say("ps web", ANN)) == ["Restart", "Events"]
    async with Deck(valkey.url, [engine()]) as deck:
        assert (await deck.say("freeze --for 2h")).ending is Ending.OK
        assert offers(await deck.say("ps web")) == ["Logs", "Follow", "Events"]


@pytest.mark.parametrize(
    ("line", "labels", "chosen"),
    [
        ("docker run --name new nginx sh -c 'sleep 1'", [], 'run --engine podman/h1 --name new nginx sh -c "sleep 1"'),
        ("run --name new nginx --engine '*'", [], "run --engine podman/h1 --name new nginx"),
        ("docker network create back", [], "network create --engine podman/h1 back"),
        ("volume create data", [], "volume create --engine podman/h1 data"),
        ("docker pull nginx", ["both"], "pull --engine podman/h1 nginx"),
        ("container prune", ["both"], "container prune --engine podman/h1"),
    ],
)
async def test_several_engines_become_buttons(valkey, line, labels, chosen):
    engines = [FakeRuntime("h1", kind=kind) for kind in ("docker", "podman")]
    for one in engines:
        one.add("ended", start=False)
    async with Deck(valkey.url, engines) as deck:
        reply = await deck.say(line)
        assert reply.ending is Ending.USAGE
        assert offers(reply) == ["docker/h1", "podman/h1", *labels]
        assert reply.buttons[1].line == chosen
        done = await deck.say(chosen)
        assert done.ending is (Ending.ASKED if "prune" in line else Ending.OK)


async def test_nothing_is_offered_by_the_name_of_a_removed_container(valkey):
    async with Deck(valkey.url, [engine()]) as deck:
        asked = await deck.say("rm -f web")
        done = await deck.say(asked.buttons[0].line)
        assert offers(done) == []


class Slow(FakeRuntime):
    """Answers its first list, and then no other one."""

    lists = 0

    @does(ListContainers)
    async def list_containers(self, action, seconds):
        self.lists += 1
        self.slow = 60.0 if self.lists > 1 else 0.0
        return await super().list_containers(action, seconds)


async def test_a_slow_engine_costs_the_offers_and_not_the_reply(valkey, monkeypatch):
    monkeypatch.setattr(offered_buttons, "SECONDS", 0.05)
    made = Slow("h1", kind="docker")
    made.add("web")
    async with Deck(valkey.url, [made]) as deck:
        reply = await deck.say("ps web")
        assert (reply.ending, offers(reply)) == (Ending.OK, [])


@pytest.fixture
def shop():
    made = FakeRuntime("h1", kind="docker")
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"}
    for name in ("worker-10", "worker-2", "worker-1"):
        made.add(name, log=[name])
    for name in ("shop-api-2", "shop-api-1"):
        made.add(name, labels=labels, log=[name])
    return made


async def test_an_ambiguous_name_is_buttons_in_order_and_one_for_both(valkey, shop):
    async with Deck(valkey.url, [shop]) as deck:
        asked = await deck.say("logs shop-ap --tail 5 --stderr")
        assert asked.ending is Ending.USAGE
        assert [(button.label, button.line) for button in asked.buttons] == [
            ("shop-api-1", "logs shop-api-1 --tail 5 --stderr"),
            ("shop-api-2", "logs shop-api-2 --tail 5 --stderr"),
            ("both: shop/api", "logs shop-api-1 shop-api-2 --tail 5 --stderr"),
        ]
        three = await deck.say("restart worker")
        assert offers(three) == ["worker-1", "worker-2", "worker-10", "all 3"]
        assert (await deck.say(three.buttons[0].line)).ending is Ending.OK
        # A name alone, and a command that takes one name only and then a program's own words.
        assert [button.line for button in (await deck.say("worker")).buttons][-1] == "card worker-10"
        assert [button.line for button in (await deck.say("exec worker ls worker")).buttons] == [
            f"exec {name} ls worker" for name in ("worker-1", "worker-2", "worker-10")
        ]


async def test_an_ambiguous_name_offers_only_what_may_be_done(valkey, shop):
    async with Deck(valkey.url, [shop], policy=POLICY) as deck:
        assert offers(await deck.say("restart worker", BOB)) == []
        assert offers(await deck.say("logs worker", BOB)) == ["worker-1", "worker-2", "worker-10", "all 3"]
