"""Images, pods, nodes and engines through the whole dispatcher: asked, decided, run, reported and audited."""

from __future__ import annotations

import pytest

from bot import plain_text
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from core.store import keys
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="console:bob", name="bob")
LOOKS = Grant(id="looks", who=BOB.id, can=("viewer", "policy.can"))


class Told:
    def __init__(self):
        self.begun_with, self.heard, self.ended = [], [], []

    def started(self, beginning):
        self.begun_with.append(beginning)

    def progress(self, going):
        self.heard.append(going)
        return True

    async def finish(self, reply):
        self.ended.append(reply)


@pytest.fixture
def engines():
    return (
        FakeRuntime("h1", kind="docker", lacks=("pod.*", "node.*")),
        FakeRuntime("h1", kind="podman", name="1001", lacks=("node.*",)),
        FakeRuntime("c1", kind="swarm", lacks=("container.*", "image.*", "pod.*")),
    )


def deck(valkey, engines, *grants, guards=(), **more):
    policy = Policy(grants=(LOOKS, *grants), guards=tuple(guards), **more)
    return Deck(valkey.url, engines, policy=policy)


def may(*can, **on):
    return Grant(id="may", who=BOB.id, can=can, on=Selector(**on))


def text(reply):
    return plain_text.render(reply)


async def test_a_pull_tells_how_far_it_is_and_what_came(valkey, engines):
    async with deck(valkey, engines) as one:
        talk = Told()
        reply = await one._dispatcher.answer(one.line("pull nginx@podman/1001"), talk)
        assert reply.ending is Ending.OK
        assert text(reply).startswith("nginx:latest pulled; sha256:")
        assert [(begun.doing, begun.names) for begun in talk.begun_with] == [("pulling", ["nginx:latest"])]
        assert {going.name for going in talk.heard} == {"nginx:latest"}
        assert talk.heard[-1].progress.endswith("of 3 layers")
        assert "is up to date" in text(await one.say("pull docker.io/library/nginx --engine podman"))
        assert "nginx" in text(await one.say("images nginx"))
        rows = await one.store.read_audit(count=10)
        assert {row.fields["target"] for row in rows if row.fields["verb"] == "image.pull"} == {
            "nginx:latest@podman/h1/1001"
        }


async def test_who_may_pull_in_one_place_need_not_name_it_and_who_may_nowhere_is_told_what_is_missing(valkey, engines):
    async with deck(valkey, engines, may("image.pull", engine="podman")) as one:
        assert (await one.say("pull nginx", BOB)).ending is Ending.OK
        refused = await one.say("pull nginx --engine docker", BOB)
        assert refused.ending is Ending.REFUSED
        assert "to grant image.pull to console:bob" in text(refused)
    async with deck(valkey, engines) as one:
        refused = text(await one.say("pull nginx", BOB))
        assert "bob does not have the permission image.pull on nginx:latest" in refused
        assert "podman" not in refused
        assert "The command names no engine, and 2 engines can pull nginx:latest: docker/h1, podman/h1/1001" in text(
            await one.say("pull nginx")
        )


async def test_only_images_of_a_registry_may_be_pulled_and_others_ask(valkey, engines):
    house = may("image.pull", name="registry.example/*")
    async with deck(valkey, engines, house) as one:
        assert (await one.say("pull registry.example/web:2 --engine docker", BOB)).ending is Ending.OK
        assert (await one.say("pull nginx --engine docker", BOB)).ending is Ending.REFUSED
    asks = Guard(id="hub", can=("image.pull",), ask=Ask.CONFIRM, on=Selector(name="docker.io/*"))
    async with deck(valkey, engines, guards=[asks]) as one:
        reply = await one.say("pull nginx --engine docker")
        assert reply.ending is Ending.ASKED
        # What was asked about need not be there to be asked about again.
        assert (await one.say(reply.buttons[0].line)).ending is Ending.OK
        assert (await one.say("pull registry.example/web:2 --engine docker")).ending is Ending.OK


async def test_a_failed_pull_is_told_with_its_reason(valkey, engines):
    engines[0].remote["nginx:lates"] = None
    async with deck(valkey, engines) as one:
        reply = await one.say("pull nginx:lates --engine docker")
    assert reply.ending is Ending.FAILED
    assert "nginx:lates was not pulled" in text(reply)
    assert "manifest unknown" in text(reply)


async def test_a_verb_an_engine_lacks_is_refused_with_what_it_can_do_instead(valkey, engines):
    async with deck(valkey, engines) as one:
        reply = await one.say("pull nginx --engine swarm")
        assert (
            "swarm/c1 does not support image.pull. The engine has no images. It supports these kinds of resources:"
            in text(reply)
        )
        assert reply.ending is Ending.USAGE
        reply = await one.say("pods --engine docker")
        assert "docker/h1 does not support pod.list. Its containers are listed by: ps" in text(reply)
        assert reply.ending is Ending.USAGE
        # Among others it is no more than one that has none.
        engines[1].add_pod("web", engines[1].add("w"))
        assert "does not support" not in text(await one.say("pods"))
        engines[0].add("web")
        shown = await one.say("ps")
        assert "swarm" not in text(shown)
        assert shown.ending is Ending.OK


async def test_a_node_is_drained_after_a_question_and_activated_without(valkey, engines):
    swarm = engines[2]
    nodes = [swarm.add_node(name) for name in ("one", "two")]
    swarm.add_task("web", nodes[1])
    async with deck(valkey, engines, may("operator")) as one:
        reply = await one.say("drain two", BOB)
        assert "Drain the node two on c1 (ready, active, 1 task running)? This moves every task of two" in text(reply)
        assert swarm.nodes[nodes[1].id].availability == "active"
        assert "two drained" in text(await one.say(reply.buttons[0].line, BOB))
        assert "drain" in text(await one.say("nodes two", BOB))
        assert text(await one.say("drain two", BOB)) == "Nothing to do: two is drained already."
        assert "two activated" in text(await one.say("activate tw", BOB))
        bare = await one.say("drain '*'", BOB)
        assert "would change everything" in text(bare)
        assert (await one.say("drain nowhere", BOB)).ending is Ending.NOTHING
    async with deck(valkey, engines) as one:
        assert (await one.say("drain two", BOB)).ending is Ending.REFUSED


async def test_a_node_that_is_gone_when_the_answer_comes_is_not_another_of_that_name(valkey, engines):
    swarm = engines[2]
    old = swarm.add_node("two")
    async with deck(valkey, engines) as one:
        reply = await one.say("drain two")
        del swarm.nodes[old.id]
        again = swarm.add_node("two")
        assert "two was removed after you gave the command. Nothing was done" in text(
            await one.say(reply.buttons[0].line)
        )
        assert swarm.nodes[again.id].availability == "active"


async def test_the_node_we_run_on_is_not_drained(valkey, engines):
    node = engines[2].add_node("two")
    mine = engines[0].add("deck", labels={"com.docker.swarm.node.id": node.id})
    async with deck(valkey, engines, self_ids=frozenset({mine.id})) as one:
        reply = await one.say("drain two")
    assert reply.ending is Ending.REFUSED
    assert "is part of Quarterdeck or marked as protected" in text(reply)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("can two drain", "no"),
        ("can one drain", "yes"),
        ("can drain one", "yes"),
        ("can one node.activate", "yes"),
        ("can web pods", "yes"),
        ("can nginx:1 image.remove", "no"),
        ("can image.pull", "yes"),
    ],
)
async def test_whether_one_may_is_asked_of_things_of_every_kind(valkey, engines, line, answer):
    docker, podman, swarm = engines
    docker.add_image("nginx:1")
    podman.add_pod("web")
    for name in ("one", "two"):
        swarm.add_node(name, labels={"zone": name})
    grants = (may("node.drain", labels=(("zone", "one"),)), may("node.activate", "image.pull"))
    async with deck(valkey, engines, *grants) as one:
        reply = await one.say(line, BOB)
    assert f": {answer}." in text(reply), text(reply)


async def test_stats_and_pods_show_what_may_be_seen(valkey, engines):
    podman = engines[1]
    for env in ("dev", "prod"):
        podman.add_pod(f"p-{env}", podman.add(f"c-{env}", labels={"env": env}), labels={"env": env})
    sees = Grant(id="dev", who="console:carol", can=("viewer",), on=Selector(labels=(("env", "dev"),)))
    carol = Identity(id="console:carol", name="carol")
    async with deck(valkey, engines, sees) as one:
        for line in ("stats", "pods", "stats c-dev", "ps -a"):
            shown = text(await one.say(line, carol))
            assert "prod" not in shown, line
        assert "c-dev" in text(await one.say("stats", carol))
        assert "There is no container “c-prod”" in text(await one.say("stats c-prod", carol))
        assert "There is no pod “p-prod”" in text(await one.say("pods p-prod", carol))


async def test_an_engine_that_hangs_is_said_and_costs_the_others_nothing(valkey, engines):
    docker, podman, _ = engines
    docker.add("web", image="nginx:1")
    podman.reachable = False
    async with deck(valkey, engines) as one:
        for line in ("images", "stats", "ps"):
            reply = await one.say(line)
            assert reply.ending is Ending.OK
            assert "No result from podman/h1/1001: podman/h1/1001 does not answer." in text(reply)


async def test_the_audit_counts_the_rows_that_were_read(valkey, engines):
    engines[0].add("web", image="nginx:1")
    async with deck(valkey, engines) as one:
        await one.say("images --engine docker")
        rows = await one.store.read_audit(count=5, audit=keys.READS)
    assert [row.fields["detail"] for row in rows if row.fields["verb"] == "image.list"] == ["1 rows"]
