"""Changes of Swarm services through the whole dispatcher: what reaches a host, what reads a secret, who sees a join
token, and what happens to a service that is another one now."""

from __future__ import annotations

import json

import msgspec
import pytest

from bot import plain_text
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.refs import Kind, Ref
from core.model.replies import Ending
from core.model.services import Service
from tests.fake_engine.engine import FakeRuntime
from tests.fake_engine.service_changes import TOKEN
from tests.helpers.deck import Deck

BOB = Identity(id="slack:T1/U1", name="bob")
EVERYTHING_ELSE = ("*", "service.*", "operator", "admin", "risk:change", "risk:destroy", "policy.*")
ROADS = (
    "--mount type=bind,source=/,target=/x",
    "--mount type=bind,src=/etc,dst=/etc,readonly",
    "--mount source=data,target=/data --mount type=bind,source=/var/run/docker.sock,target=/s",
    "--network host",
    "--network name=host",
    "--network front --network host",
    "--cap-add SYS_ADMIN",
    "--cap-add=ALL",
    "--log-driver syslog --log-opt syslog-address=unix:///run/x.sock",
    "--log-driver=fluentd",
    "--log-driver mirror/plugin:1",
)
ENDING = ("service update --force web", "service rollback web", "service rm web")
ADDED = tuple(road.replace("--mount", "--mount-add").replace("--network", "--network-add") for road in ROADS)


def text(reply) -> str:
    return plain_text.render(reply, width=160)


def engine(*allow: str, reaches=(), earlier=()) -> FakeRuntime:
    made = FakeRuntime("c1", kind="swarm", allow=allow, lacks=("container.*", "image.*"))
    made.swarm.append(service(made, "id-web", reaches=reaches, earlier_reaches=earlier))
    return made


def service(made, id_, **more) -> Service:
    ref = Ref(engine=made.ref, kind=Kind.SERVICE, id=id_, name="web")
    return Service(
        ref=ref,
        mode="replicated",
        image="nginx:1",
        running=2,
        desired=2,
        labels=({"env": "dev"},),
        service="web",
        **more,
    )


def policy(*can: str, guards: tuple[Guard, ...] = (), on: Selector = Selector()) -> Policy:
    return Policy(grants=(Grant(id="g1", who=BOB.id, can=can, on=on),), guards=guards)


async def confirmed(deck, line, who=None):
    said = {"who": who} if who else {}
    reply = await deck.say(line, **said)
    return await deck.say(reply.buttons[0].line, **said) if reply.ending is Ending.ASKED else reply


def changed(made):
    return [action.verb for action in getattr(made, "changed", ())]


@pytest.mark.parametrize("road", ROADS)
async def test_what_reaches_the_hosts_of_a_new_service_is_closed_to_whoever_has_everything_else(valkey, road):
    opened, closed = engine("*", "host.reach"), engine("*")
    async with Deck(valkey.url, (opened,), policy=policy(*EVERYTHING_ELSE)) as deck:
        reply = await deck.say(f"service create --name new {road} nginx", BOB)
        assert reply.ending is Ending.REFUSED and "host.reach" in text(reply), text(reply)
        assert not changed(opened)
        assert (await deck.say(f"service create --name new {road} nginx")).ending is Ending.OK
    async with Deck(valkey.url, (closed,), policy=policy(*EVERYTHING_ELSE, "host.reach")) as deck:
        for who in ({}, {"who": BOB}):
            reply = await deck.say(f"service create --name new {road} nginx", **who)
            assert reply.ending is Ending.REFUSED and "does not allow host.reach" in text(reply), text(reply)
        assert not changed(closed)


@pytest.mark.parametrize("road", ADDED)
async def test_what_an_update_adds_is_closed_too(valkey, road):
    opened = engine("*", "host.reach")
    async with Deck(valkey.url, (opened,), policy=policy(*EVERYTHING_ELSE)) as deck:
        reply = await deck.say(f"service update {road} web", BOB)
        assert reply.ending is Ending.REFUSED and "host.reach" in text(reply), text(reply)
        assert not changed(opened)
        assert (await confirmed(deck, f"service update {road} web")).ending is Ending.OK


@pytest.mark.parametrize(
    "change",
    [
        "--image evil:1",
        "--args 'sh -c x'",
        "--entrypoint sh",
        "--env-add LD_PRELOAD=/x",
        "--env-rm SAFE",
        "--user 0",
        "--workdir /x",
        "--health-cmd 'sh -c x'",
        "--mount-add source=data,target=/x",
        "--mount-rm /x",
        "--config-rm conf",
        "--network-add front",
        "--constraint-add node.hostname==other",
        "--constraint-rm a==b",
        "--placement-pref-add spread=node.labels.zone",
        "--dns-add 10.0.0.53",
        "--dns-search-rm corp",
        "--sysctl-add net.core.somaxconn=9",
        "--group-add docker",
        "--group-rm docker",
    ],
)
async def test_whoever_gives_another_program_to_a_service_that_reaches_its_host_reaches_it(valkey, change):
    opened = engine("*", "host.reach", reaches=("mounts /etc of the host",))
    async with Deck(valkey.url, (opened,), policy=policy(*EVERYTHING_ELSE)) as deck:
        reply = await deck.say(f"service update {change} web", BOB)
        assert reply.ending is Ending.REFUSED and "web mounts /etc of the host" in text(reply), text(reply)
        assert not changed(opened)


@pytest.mark.parametrize(
    "change", ["--limit-memory 1g", "--replicas 3", "--label-add a=b", "--force", "--publish-add 80"]
)
async def test_what_leaves_the_program_as_it_is_needs_no_more_than_its_own_verb(valkey, change):
    opened = engine("*", reaches=("mounts /etc of the host",), earlier=("mounts /etc of the host",))
    async with Deck(valkey.url, (opened,), policy=policy("service.*")) as deck:
        assert (await confirmed(deck, f"service update {change} web", BOB)).ending is Ending.OK
        assert (await confirmed(deck, "service rollback web", BOB)).ending is Ending.OK


async def test_an_operator_cannot_roll_back_to_what_reached_more(valkey):
    opened = engine("*", "host.reach", earlier=("mounts / of the host",))
    async with Deck(valkey.url, (opened,), policy=policy(*EVERYTHING_ELSE)) as deck:
        for line in ("service rollback web", "service update --rollback web"):
            reply = await deck.say(line, BOB)
            assert reply.ending is Ending.REFUSED and "web mounts / of the host" in text(reply), text(reply)
        assert not changed(opened)
        assert (await confirmed(deck, "service rollback web")).ending is Ending.OK


async def test_a_secret_that_a_service_has_is_read_by_another_program_only_with_that_right(valkey):
    opened = engine("*")
    key = opened.add_stored(Kind.SECRET, "key", labels={"env": "dev"})
    conf = opened.add_stored(Kind.CONFIG, "conf")
    opened.swarm[0] = msgspec.structs.replace(opened.swarm[0], values=(key, conf))
    grants = (
        Grant(id="g1", who=BOB.id, can=("service.*",)),
        Grant(id="g2", who="slack:T1/U2", can=("service.*", "secret.use"), on=Selector(labels=(("env", "dev"),))),
        Grant(id="g3", who="slack:T1/U2", can=("service.*", "config.use")),
    )
    eve = Identity(id="slack:T1/U2", name="eve")
    async with Deck(valkey.url, (opened,), policy=Policy(grants=grants)) as deck:
        for change in ("--args 'cat /run/secrets/key'", "--image evil", "--secret-rm key --env-add A=1"):
            reply = await deck.say(f"service update {change} web", BOB)
            assert reply.ending is Ending.REFUSED and ".use" in text(reply), text(reply)
        assert not changed(opened)
        # What leaves the program as it is reads nothing.
        assert (await confirmed(deck, "service update --limit-memory 1g web", BOB)).ending is Ending.OK
        assert (await confirmed(deck, "service update --image next web", eve)).ending is Ending.OK


async def test_a_secret_is_given_only_by_whoever_may_use_it(valkey):
    opened = engine("*")
    opened.add_stored(Kind.SECRET, "key", labels={"env": "dev"})
    opened.add_stored(Kind.CONFIG, "conf")
    dev = Selector(labels=(("env", "dev"),))
    grants = (
        Grant(id="g1", who=BOB.id, can=("service.*", "secret.list", "config.list")),
        Grant(id="g2", who="slack:T1/U2", can=("service.*", "secret.*", "config.*"), on=dev),
    )
    eve = Identity(id="slack:T1/U2", name="eve")
    async with Deck(valkey.url, (opened,), policy=Policy(grants=grants)) as deck:
        for line in ("service create --secret key nginx", "service update --secret-add key web"):
            reply = await deck.say(line, BOB)
            assert reply.ending is Ending.REFUSED and "secret.use" in text(reply), text(reply)
        reply = await deck.say("service create --config conf nginx", BOB)
        assert reply.ending is Ending.REFUSED and "config.use" in text(reply)
        assert not changed(opened)
        # The label of the secret is known again when the question is answered.
        assert (await confirmed(deck, "service update --secret-add key web", eve)).ending is Ending.OK
        reply = await deck.say("service create -l env=dev --config conf nginx", eve)
        assert reply.ending is Ending.NOTHING and "There is no config “conf”" in text(reply)


async def test_an_operator_may_roll_back_but_neither_update_create_remove_nor_see_a_token(valkey):
    opened = engine()
    async with Deck(valkey.url, (opened,), policy=policy("operator")) as deck:
        for line in (
            "service create nginx",
            "service update --image nginx:2 web",
            "service rm web",
            "swarm init --engine swarm",
            "swarm join-token worker",
        ):
            assert (await deck.say(line, BOB)).ending is Ending.REFUSED, line
        assert (await confirmed(deck, "service rollback web", BOB)).ending is Ending.OK
        assert changed(opened) == ["service.rollback"]


async def test_each_change_of_tasks_is_asked_about_and_audited(valkey):
    opened = engine()
    async with Deck(valkey.url, (opened,)) as deck:
        for line, reason in (
            ("service update --image nginx:2 web", "replaces the tasks of web: data outside of volumes is lost"),
            ("service update --replicas 1 web", "ends tasks of web"),
            ("service update --replicas 0 web", "leaves nothing of web running"),
            ("service rollback web", "replaces the tasks of web by those of its earlier version"),
            ("service rm web", "cannot be undone"),
            ("swarm init --engine swarm", "opens a port of this host"),
        ):
            reply = await deck.say(line)
            assert reply.ending is Ending.ASKED and reason in text(reply), text(reply)
        assert not changed(opened)
        for line in ("service update --replicas 4 web", "service update --label-add a=b web"):
            assert (await deck.say(line)).ending is Ending.OK
        await confirmed(deck, "service rm web")
        rows = await deck.store.read_audit(count=100)
    ended = [(row.fields["verb"], row.fields["status"]) for row in reversed(rows) if row.fields["phase"] == "outcome"]
    assert ended == [("service.update", "done"), ("service.update", "done"), ("service.remove", "done")]


async def test_a_guard_on_the_removal_of_containers_sees_an_update_and_a_guarded_service_is_safe(valkey):
    deny = Guard(id="careful", can=("service.update",), ask=Ask.DENY, on=Selector(labels=(("env", "dev"),)))
    opened = engine()
    async with Deck(valkey.url, (opened,), policy=policy("service.*", guards=(deny,))) as deck:
        reply = await deck.say("service update --force web", BOB)
        assert reply.ending is Ending.REFUSED and "careful" in text(reply)
    protected = msgspec.structs.replace(opened.swarm[0], labels=({"quarterdeck.protected": "true"},))
    opened.swarm[0] = protected
    async with Deck(valkey.url, (opened,)) as deck:
        for line in (
            "service update --force web",
            "service rollback web",
            "service rm web",
            "service update --replicas 0 web",
        ):
            reply = await deck.say(line)
            assert reply.ending is Ending.REFUSED and "protected" in text(reply), text(reply)
    assert not changed(opened)


@pytest.mark.parametrize(
    "line", ["service rm web", "service update --force web", "service rollback web", "scale web=0"]
)
async def test_a_service_that_was_made_anew_since_the_question_is_left_alone(valkey, line):
    opened = engine()
    async with Deck(valkey.url, (opened,)) as deck:
        asked = await deck.say(line)
        assert asked.ending is Ending.ASKED
        opened.swarm[:] = [service(opened, "id-another")]
        reply = await deck.say(asked.buttons[0].line)
        assert reply.ending is Ending.USAGE, text(reply)
        assert "web was removed after you gave the command. Nothing was done" in text(reply)
        assert not changed(opened) and opened.swarm[0].desired == 2


async def test_a_join_token_is_shown_to_the_requester_alone_and_stored_nowhere(valkey):
    opened = engine()
    async with Deck(valkey.url, (opened,)) as deck:
        for role in ("worker", "manager"):
            reply = await deck.say(f"docker swarm join-token {role}")
            assert f"docker swarm join --token {TOKEN} 10.0.0.1:2377" in text(reply)
            assert reply.secret and not reply.everyone and reply.ending is Ending.OK
        stored = repr([row.fields for row in await deck.store.read_audit(count=100)])
        assert "swarm.token" in stored and TOKEN not in stored and TOKEN[:20] not in stored
        keys = [key async for key in deck.store._redis.scan_iter()] if hasattr(deck.store, "_redis") else []
        assert not any(TOKEN.encode() in key for key in keys)
        reply = await deck.say("audit")
        assert TOKEN not in json.dumps(text(reply))
        assert (await deck.say("swarm join-token worker --share")).ending is Ending.USAGE


async def test_a_service_whose_tasks_do_not_run_says_so(valkey):
    opened = engine()
    opened.remote["nosuch:1"] = None
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say("service create --name new nosuch:1")
        assert reply.ending is Ending.FAILED
        assert "new was not created as asked: 0 of 1 run it; new.1 rejected: No such image." in text(reply)
        reply = await deck.say("service create --name new nginx")
        assert reply.ending is Ending.FAILED and "service new already exists" in text(reply)
