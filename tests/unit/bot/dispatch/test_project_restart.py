"""`project restart` through the whole dispatcher: what is asked first, who may, and what one row of audit says."""

from __future__ import annotations

import pytest

from bot import plain_text
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from runtimes.compose import dependencies, project_restart
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="slack:T1/U1", name="bob")


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(project_restart, "MIN_UPTIME", 0.0)


def text(reply) -> str:
    return plain_text.render(reply, width=200)


@pytest.fixture
def engine():
    made = FakeRuntime("h1", kind="docker")
    for service, needed in (("web", "db:service_started:false"), ("db", ""), ("api", "db:service_healthy:false")):
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": service, "tier": service}
        made.add(f"shop-{service}-1", labels=labels | {dependencies.LABEL: needed})
    made.add("alone")
    return made


def restarted(engine):
    return [event.subject.name for event in engine.ring if event.action == "restart"]


def policy(*can, on=Selector(), guards=()):
    return Policy(grants=(Grant(id="g1", who=BOB.id, can=can, on=on),), guards=guards)


async def test_it_asks_then_restarts_in_order_as_one_row(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("project restart shop")
        assert asked.ending is Ending.ASKED and "Restart the project shop on" in text(asked)
        assert restarted(engine) == []
        reply = await deck.say(asked.buttons[0].line)
        assert reply.ending is Ending.OK and "in this order: db, api, web" in text(reply), text(reply)
        rows = [row.fields for row in await deck.store.read_audit(count=20) if row.fields["phase"] == "outcome"]
    assert restarted(engine)[0] == "shop-db-1" and set(restarted(engine)) == {"shop-db-1", "shop-api-1", "shop-web-1"}
    assert [(row["verb"], row["status"]) for row in rows] == [("project.restart", "done")]
    assert rows[0]["target"].count("shop-") >= 3


async def test_each_of_its_containers_must_be_allowed_to_be_restarted(valkey, engine):
    deny = Guard(id="no-db", can=("container.restart",), ask=Ask.DENY, on=Selector(labels=(("tier", "db"),)))
    async with Deck(valkey.url, [engine], policy=policy("operator", guards=(deny,))) as deck:
        reply = await deck.say("project restart shop", BOB)
        assert reply.ending is Ending.REFUSED and "no-db" in text(reply)
    async with Deck(valkey.url, [engine], policy=policy("project.restart", "container.list")) as deck:
        reply = await deck.say("project restart shop", BOB)
        assert reply.ending is Ending.REFUSED and "container.restart" in text(reply)
    only = Selector(labels=(("tier", "web"),))
    async with Deck(valkey.url, [engine], policy=policy("operator", on=only)) as deck:
        # What one may not list is no part of the project.
        reply = await deck.say("project restart shop", BOB)
        assert reply.ending is Ending.OK and "1 service was not waited for" in text(reply), text(reply)
    assert restarted(engine) == ["shop-web-1"]


async def test_a_protected_part_and_an_allow_list_stop_it(valkey):
    strict = FakeRuntime("h1", kind="docker", allow=("*.list", "project.restart"))
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    strict.add("shop-web-1", labels=labels)
    async with Deck(valkey.url, [strict]) as deck:
        reply = await deck.say("project restart shop")
        assert reply.ending is Ending.REFUSED and "does not allow container.restart" in text(reply)
    made = FakeRuntime("h1", kind="docker")
    made.add("shop-web-1", labels=labels | {"quarterdeck.protected": "true"})
    async with Deck(valkey.url, [made]) as deck:
        reply = await deck.say("project restart shop")
        assert reply.ending is Ending.REFUSED and "protected" in text(reply)


async def test_a_container_that_is_another_one_now_is_left_alone(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("project restart shop")
        with engine.untold():
            row = next(row for row in engine.containers.values() if row.ref.name == "shop-db-1")
            del engine.containers[row.ref.id]
            engine.add("shop-db-1", labels=row.labels)
        reply = await deck.say(asked.buttons[0].line)
    assert reply.ending is Ending.USAGE and "was removed after you gave the command. Nothing was done" in text(reply)
    assert restarted(engine) == []


@pytest.mark.parametrize(
    ("line", "words", "ending"),
    [
        ("project restart nosuch", "There is no project “nosuch” with a container.", Ending.NOTHING),
        ("project restart 'shop*'", "is not the whole name of a project", Ending.USAGE),
        ("project restart '*'", "would change everything", Ending.USAGE),
        ("project restart shop/web", "is not the whole name of a project", Ending.USAGE),
        ("project restart alone", "There is no project “alone”", Ending.NOTHING),
        ("project restart", "project restart needs TARGET", Ending.USAGE),
    ],
)
async def test_bad_words_are_a_sentence(valkey, engine, line, words, ending):
    async with Deck(valkey.url, [engine]) as deck:
        reply = await deck.say(line)
    assert words in text(reply) and reply.ending is ending, text(reply)
    assert restarted(engine) == []


async def test_a_project_on_two_engines_is_chosen(valkey, engine):
    other = FakeRuntime("h2", kind="docker")
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    other.add("shop-web-1", labels=labels)
    async with Deck(valkey.url, [engine, other]) as deck:
        reply = await deck.say("project restart shop")
        assert reply.ending is Ending.USAGE and "docker/h2" in text(reply), text(reply)
        for line in ("project restart shop@docker/h2", "project restart shop --host h2"):
            reply = await deck.say(line)
            reply = await deck.say(reply.buttons[0].line) if reply.ending is Ending.ASKED else reply
            assert reply.ending is Ending.OK, text(reply)
    assert restarted(engine) == [] and restarted(other) == ["shop-web-1"] * 2
