"""Scaling through the whole dispatcher: what is asked before, who may, one at a time, and one row of audit for all its
steps."""

import asyncio

import pytest

from bot import plain_text
from core.model.actions import Scale
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import EVERYTHING, Selector
from core.model.refs import Kind, Ref
from core.model.replies import Ending
from core.model.services import Service
from runtimes.compose import scale
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

ANN = Identity(id="slack:T1/UANN", name="ann")


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(scale, "MIN_UPTIME", 0.0)


@pytest.fixture
def engine():
    made = FakeRuntime("h1", kind="docker")
    for service in ("web", "db", "api", "jobs"):
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": service}
        made.add(f"shop-{service}-1", labels=labels | {"com.docker.compose.container-number": "1", "tier": service})
    ref = Ref(engine=made.ref, kind=Kind.SERVICE, id="f" * 25, name="mail_smtp")
    made.swarm.append(
        Service(
            ref=ref,
            mode="replicated",
            image="postfix:3",
            running=1,
            desired=1,
            labels=({"env": "prod"},),
            project="mail",
            service="mail_smtp",
        )
    )
    return made


def names(engine):
    return sorted(row.ref.name for row in engine.containers.values() if "web" in row.ref.name)


async def rows(deck, phase):
    found = [row.fields for row in await deck.store.read_audit(count=50) if row.fields["phase"] == phase]
    return [(one["verb"], one["target"].partition("@")[0], one.get("status", "")) for one in found]


async def test_all_its_steps_are_one_verb_and_one_row(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        reply = await deck.say("scale shop/web=3")
        assert "shop/web scaled from 1 to 3" in plain_text.render(reply)
        assert names(engine) == ["shop-web-1", "shop-web-2", "shop-web-3"]
        assert await rows(deck, "intent") == [("service.scale", "shop/web", "")]
        assert await rows(deck, "outcome") == [("service.scale", "shop/web", "done")]


async def test_to_nothing_is_asked_like_a_removal(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("scale web=0 db=2")
        assert asked.ending is Ending.ASKED
        assert (
            "shop/web to 0 replicas (1 of 1 replica running)? This leaves nothing of shop/web running."
            in plain_text.render(asked)
        )
        assert names(engine) == ["shop-web-1"]
        assert (await deck.say(asked.buttons[0].line)).ending is Ending.OK
        assert names(engine) == []
        gone = await deck.say("scale web=1")
        assert gone.ending is Ending.NOTHING and "docker compose up" in plain_text.render(gone)


async def test_more_than_three_services_are_asked_and_so_is_a_project(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        assert (await deck.say("scale web=2 db=2 api=2")).ending is Ending.OK
        assert (await deck.say("scale 'shop/*=3'")).ending is Ending.ASKED
        assert (await deck.say("restart shop")).ending is Ending.ASKED
        assert (await deck.say("restart shop/web")).ending is Ending.OK
        for line in ("restart '*/*'", "restart */", "scale '*=1'"):
            assert (await deck.say(line)).ending is Ending.USAGE


async def test_grants_and_guards_hold_by_project_service_and_label(valkey, engine):
    see = Grant(id="see", who="everyone", can=("viewer",))

    def may(on=EVERYTHING):
        return Grant(id="may", who=ANN.id, can=("operator",), on=on)

    for on, web, mail in (
        (Selector(project="shop"), Ending.OK, Ending.REFUSED),
        (Selector(service="web"), Ending.OK, Ending.REFUSED),
        (Selector(labels=(("env", "prod"),)), Ending.REFUSED, Ending.OK),
    ):
        async with Deck(valkey.url, policy=Policy(grants=(see, may(on)))) as deck:
            deck.fleet.add(engine)
            valkey.say(b"FLUSHALL\r\n")
            assert (await deck.say("scale shop/web=2", ANN)).ending is web
            assert (await deck.say("scale smtp=2", ANN)).ending is mail
    valkey.say(b"FLUSHALL\r\n")
    prod = Guard(id="prod", can=("service.scale",), ask=Ask.APPROVE, on=Selector(labels=(("env", "prod"),)))
    async with Deck(valkey.url, [engine], policy=Policy(grants=(see, may()), guards=(prod,))) as deck:
        assert (await deck.say("scale web=2", ANN)).ending is Ending.OK
        asked = await deck.say("scale mail/smtp=3", ANN)
        assert asked.ending is Ending.ASKED and "approve" in plain_text.render(asked)
        viewer = Identity(id="slack:T1/UBOB", name="bob")
        assert "mail_smtp" in plain_text.render(await deck.say("services", viewer))
        assert (await deck.say("scale web=3", viewer)).ending is Ending.REFUSED


async def test_two_do_not_scale_one_service_at_once(valkey, engine):
    engine.slow = 0.3
    async with Deck(valkey.url, [engine]) as deck:
        first, second = await asyncio.gather(deck.say("scale web=2"), deck.say("scale web=3"))
        assert {first.ending, second.ending} == {Ending.OK, Ending.REFUSED}
        assert len(names(engine)) in (2, 3)


async def test_a_swarms_service_is_scaled_and_what_has_no_number_is_not(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        assert "mail_smtp scaled from 1 to 3" in plain_text.render(await deck.say("scale smtp=3"))
        assert engine.swarm[0].desired == 3
        assert "mail_smtp has 3 already" in plain_text.render(await deck.say("scale mail/smtp 3"))


def test_only_nothing_is_grave():
    target = Ref(engine=FakeRuntime().ref, kind=Kind.SERVICE, id="shop/web", name="shop/web")
    graves = [Scale(engine=target.engine, target=target, replicas=number).confirm_reason() for number in (0, 1)]
    assert graves == ["leaves nothing of shop/web running", ""]


async def test_a_project_selects_in_commands_that_only_look(valkey, engine):
    other = engine.add("alone")
    async with Deck(valkey.url, [engine]) as deck:
        for line in ("events shop", "events shop/web shop_db", "ps shop", "logs shop --tail 1"):
            reply = await deck.say(line)
            text = plain_text.render(reply)
            assert (reply.ending is Ending.OK and "shop-web-1" in text) or line.startswith("logs"), text
            assert other.name not in text
        # What is gone is found by its name all the same.
        asked = await deck.say("rm -f alone")
        assert (await deck.say(asked.buttons[0].line)).ending is Ending.OK
        assert "removed" in plain_text.render(await deck.say("events alone"))


async def test_can_tells_of_a_service_what_scaling_it_would_be_told(valkey, engine):
    see = Grant(id="see", who="everyone", can=("viewer",))
    ask = Grant(id="ask", who="everyone", can=("policy.can",))
    may = Grant(id="may", who=ANN.id, can=("service.scale",), on=Selector(labels=(("env", "prod"),)))
    async with Deck(valkey.url, [engine], policy=Policy(grants=(see, ask, may))) as deck:
        assert "service.scale on mail_smtp: yes" in plain_text.render(await deck.say("can smtp scale", ANN))
        assert "service.scale on shop/web: no" in plain_text.render(await deck.say("can scale shop/web", ANN))
        assert (await deck.say("can services", ANN)).ending is Ending.OK
        assert (await deck.say("can nothing-there scale", ANN)).ending is Ending.NOTHING
