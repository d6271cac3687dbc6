"""`scale` and `services` on a real Swarm: replicas that come and go, tasks that cannot run, and a node that is told to
do what only a manager can."""

import re

import docker
import pytest

from bot import plain_text
from core.model.replies import Ending
from tests.daemons.docker import IMAGE, private_dockerd
from tests.daemons.swarm import Opened, private_swarm
from tests.helpers.deck import Deck
from tests.helpers.waiting import wait_for

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def _cluster():
    with private_swarm() as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster):
    _cluster.clear()
    return _cluster


@pytest.fixture
async def deck(valkey, cluster):
    opened = await Opened(cluster.daemon).meet()
    async with Deck(valkey.url, opened.all, seconds=60) as made:
        made.opened = opened
        yield made


async def told(deck, line, ending=Ending.OK):
    reply = await deck.say(line)
    if reply.ending is Ending.ASKED and ending is not Ending.ASKED:
        reply = await deck.say(reply.buttons[0].line)
    text = plain_text.render(reply)
    assert reply.ending is ending, text
    return text


async def test_one_two_three_and_back(deck, cluster):
    cluster.serve("shop_web", labels={"com.docker.stack.namespace": "shop", "env": "dev"})
    wait_for("the task", lambda: cluster.states("shop_web") == ["running"])
    assert "shop_web scaled from 1 to 3 in" in await told(deck, "scale shop/web=3")
    assert cluster.states("shop_web") == ["running"] * 3
    row = (await told(deck, "services shop")).splitlines()[1].split()
    assert row[:4] == ["shop_web", "replicated", "3/3", IMAGE]
    assert [line.split()[0] for line in (await told(deck, "engines")).splitlines()[1:]] == [
        str(deck.opened.daemons[0].ref),
        f"swarm/{cluster.id[:12]}",
    ]
    listed = (await told(deck, "ps shop")).splitlines()[2:]
    assert ["shop_web" in line.split() for line in listed] == [True] * 3
    assert "has 3 already" in await told(deck, "scale shop_web 3")
    assert "scaled from 3 to 1" in await told(deck, "scale web=1")
    assert cluster.states("shop_web") == ["running"]
    # What else was asked of the service stays as it was.
    spec = cluster.api.inspect_service("shop_web")["Spec"]
    assert spec["TaskTemplate"]["RestartPolicy"]["Delay"] == 200_000_000
    assert spec["Labels"]["env"] == "dev"
    asked = await deck.say("scale web=0")
    assert asked.ending is Ending.ASKED
    assert "from 1 to 0" in plain_text.render(await deck.say(asked.buttons[0].line))
    assert "scaled from 0 to 1" in await told(deck, "scale web=1")


async def test_tasks_that_had_to_be_killed_are_named(deck, cluster):
    deaf = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    cluster.serve("deaf", deaf, replicas=3, grace=2)
    wait_for("the tasks", lambda: cluster.states("deaf") == ["running"] * 3)
    text = await told(deck, "scale deaf=1")
    found = re.search(r"2 did not end in time and were killed: (deaf\.\d), (deaf\.\d)", text)
    assert found and found[1] != found[2], text
    text = await told(deck, "service update --force deaf")
    assert re.search(r"; deaf\.\d did not end in time and was killed", text), text


async def test_tasks_that_fail_are_told_with_their_error(deck, cluster):
    cluster.serve("bad", ["/bin/nothing-there"], replicas=0)
    text = await told(deck, "scale bad=2", Ending.FAILED)
    assert "0 of 2 run" in text and "nothing-there" in text
    assert "scale bad=0" in text
    cluster.serve("brief", ["/bin/sh", "-c", "exit 7"], replicas=0)
    text = await told(deck, "scale brief=1", Ending.FAILED)
    assert "non-zero exit (7)" in text


async def test_what_finds_no_node_is_told_when_the_time_is_over(deck, cluster):
    cluster.serve("nowhere", replicas=0, constraints=["node.labels.rack == moon"])
    text = await told(deck, "scale nowhere=1 --timeout 8", Ending.FAILED)
    assert "0 of 1 run after 8 s" in text and "no suitable node" in text
    assert "no suitable node" in await told(deck, "services nowhere")


async def test_what_has_no_number_of_replicas_is_refused(deck, cluster):
    cluster.serve("agent", mode=docker.types.ServiceMode("global"))
    text = await told(deck, "scale agent=2", Ending.FAILED)
    assert "agent is a global service" in text and "one task runs on each node" in text


async def test_a_service_that_changes_meanwhile_is_scaled_all_the_same(deck, cluster):
    """Two at once: one of the two updates comes out of sequence, is made anew, and both are there at the end."""
    name = cluster.serve("twice", replicas=1)
    door = deck.opened.daemons[0]
    ask, beaten = door.ask, []

    async def overtaken(method, target, seconds, **more):
        if method == "POST" and "/update" in target and not beaten:
            found = cluster.api.inspect_service(name)
            beaten.append(found["Version"]["Index"])
            spec = found["Spec"]
            cluster.api.update_service(
                name, found["Version"]["Index"], spec["TaskTemplate"], "twice", {"seen": "yes"}, spec["Mode"],
                endpoint_spec=spec["EndpointSpec"],
            )  # fmt: skip
        return await ask(method, target, seconds, **more)

    door.ask = overtaken
    assert "scaled from 1 to 2" in await told(deck, "scale twice=2")
    spec = cluster.api.inspect_service(name)["Spec"]
    assert beaten and spec["Labels"] == {"seen": "yes"} and spec["Mode"]["Replicated"]["Replicas"] == 2


async def test_a_worker_tells_of_its_part_and_names_its_manager(valkey, cluster):
    """Two daemons: the worker alone cannot scale; beside its manager the service is one and the Swarm is asked."""
    cluster.serve("spread", replicas=2)
    with private_dockerd(host="w2") as other:
        cluster.join(other, "Worker")
        try:
            (manager,) = cluster.api.nodes({"role": "manager"})
            drained = {"Role": "manager", "Availability": "drain"}
            cluster.api.update_node(manager["ID"], manager["Version"]["Index"], drained)
            # The manager counts what the worker reported: that comes after the containers run.
            wait_for("the tasks over there", lambda: len(other.api.containers()) == 2)
            wait_for("the manager to count them", lambda: cluster.states("spread") == ["running"] * 2)
            opened = await Opened(other, cluster.daemon).meet()
            async with Deck(valkey.url, opened.all, seconds=60) as deck:
                row = (await told(deck, "services --engine docker/w2/d1")).splitlines()[1].split()
                assert row[:4] == ["spread", "swarm", "2", "here"]
                text = await told(deck, "scale spread=1 --engine docker/w2/d1", Ending.USAGE)
                assert "spread cannot be scaled" in text and "is only a worker of its Swarm, not a manager" in text
                assert "Add a manager of the Swarm to `engines` in quarterdeck.yaml: 127.0.0.1" in text
                rows = (await told(deck, "services")).splitlines()[1:]
                assert [row.split()[:3] for row in rows] == [["spread", "replicated", "2/2"]]
                assert "scaled from 2 to 1" in await told(deck, "scale spread=1")
                assert "spread.1." in await told(deck, "ps spread")
        finally:
            other.api.leave_swarm(force=True)
