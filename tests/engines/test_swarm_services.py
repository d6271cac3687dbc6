"""Lines about services, typed whole on a real Swarm: what the daemon then runs, and what the reply says of it."""

import asyncio
import re
import threading

import pytest

from bot import plain_text
from core.model.replies import Ending
from core.model.swarm import RotateJoinToken
from runtimes.swarm import rollouts
from tests.daemons.docker import IMAGE, private_dockerd
from tests.daemons.swarm import Opened, private_swarm
from tests.helpers.deck import Deck
from tests.helpers.waiting import wait_for

pytestmark = pytest.mark.engine
SLEEP = "--network host --stop-grace-period 1s"
FOREVER = "-- /bin/sh -c 'exec sleep 3600'"


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
    async with Deck(valkey.url, opened.all, seconds=90.0) as made:
        yield made


def text(reply):
    return plain_text.render(reply, width=200)


async def said(deck, line, ending=Ending.OK):
    reply = await deck.say(line)
    if reply.ending is Ending.ASKED and ending is not Ending.ASKED:
        reply = await deck.say(reply.buttons[0].line)
    assert reply.ending is ending, text(reply)
    return text(reply)


def container(cluster, name):
    return cluster.api.inspect_service(name)["Spec"]["TaskTemplate"]["ContainerSpec"]


async def test_a_service_from_its_creation_to_its_removal(deck, cluster):
    shown = await said(
        deck, f"docker service create --name web --replicas 2 -e A=1 -l team=a {SLEEP} {IMAGE} {FOREVER}"
    )
    assert re.search(r"web created in [\d.]+ s; 2 of 2 run it", shown), shown
    assert cluster.states("web") == ["running"] * 2
    assert re.search(r"^web +replicated +2/2", await said(deck, "docker service ls"), re.MULTILINE)
    shown = await said(deck, "docker service inspect --pretty web")
    assert re.search(r"^Replicas +2", shown, re.MULTILINE) and re.search(r"^Environment +A$", shown, re.MULTILINE)
    assert len(re.findall(r"^web\.[12] ", await said(deck, "docker service ps web"), re.MULTILINE)) == 2

    # An update of the tasks: the message counts them, and ends when the Swarm says so.
    update = (
        "service update --env-add B=2 --env-rm A --limit-memory 64m --update-parallelism 2 --update-monitor 500ms web"
    )
    shown = await said(deck, update)
    assert "2 of 2 run it" in shown, shown
    assert container(cluster, "web")["Env"] == ["B=2"]
    template = cluster.api.inspect_service("web")["Spec"]["TaskTemplate"]
    assert template["Resources"]["Limits"]["MemoryBytes"] == 64 << 20
    assert (await said(deck, "service update --env-add B=2 web")).startswith("web is set to that already")

    # What people set besides: each is where the Swarm reads it, and is taken away again.
    await said(
        deck,
        "service update --placement-pref-add spread=node.labels.zone --dns-add 10.0.0.53 --dns-search-add corp"
        " --ulimit-add nofile=1024:2048 --group-add 9 --limit-pids 50 --replicas-max-per-node 9"
        " --log-driver json-file --log-opt max-size=1m --update-monitor 500ms web",
    )
    template = cluster.api.inspect_service("web")["Spec"]["TaskTemplate"]
    assert template["Placement"]["Preferences"] == [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]
    assert (template["Placement"]["MaxReplicas"], template["Resources"]["Limits"]["Pids"]) == (9, 50)
    assert template["LogDriver"] == {"Name": "json-file", "Options": {"max-size": "1m"}}
    spec = template["ContainerSpec"]
    assert (spec["DNSConfig"]["Nameservers"], spec["DNSConfig"]["Search"]) == (["10.0.0.53"], ["corp"])
    assert (spec["Ulimits"], spec["Groups"]) == ([{"Name": "nofile", "Hard": 2048, "Soft": 1024}], ["9"])
    await said(
        deck,
        "service update --placement-pref-rm spread=node.labels.zone --dns-rm 10.0.0.53 --ulimit-rm nofile"
        " --group-rm 9 --limit-pids 0 --update-monitor 500ms web",
    )
    template = cluster.api.inspect_service("web")["Spec"]["TaskTemplate"]
    assert not template["Placement"].get("Preferences") and not template["ContainerSpec"].get("Ulimits")
    assert not template["ContainerSpec"].get("Groups") and not template["ContainerSpec"]["DNSConfig"].get("Nameservers")

    # What does not touch the tasks replaces none of them.
    before = {task["ID"] for task in cluster.api.tasks({"service": "web", "desired-state": "running"})}
    await said(deck, "service update --label-add team=b --label-add x=y web")
    assert {task["ID"] for task in cluster.api.tasks({"service": "web", "desired-state": "running"})} == before
    assert cluster.api.inspect_service("web")["Spec"]["Labels"]["team"] == "b"
    await said(deck, "docker service scale web=3")
    assert cluster.states("web") == ["running"] * 3
    await said(deck, "service update --replicas 1 web")
    assert cluster.states("web") == ["running"]
    await said(deck, "service update --force web")
    after = {task["ID"] for task in cluster.api.tasks({"service": "web", "desired-state": "running"})}
    assert len(after) == 1 and not after & before

    shown = await said(deck, "docker service rollback web")
    assert "web rolled back" in shown and "1 of 1 run it" in shown, shown
    await said(deck, "service update --label-add after=rollback web")
    assert "web removed" in await said(deck, "docker service rm web")
    assert cluster.api.services() == []


async def test_the_line_of_the_list_whose_service_never_converges(deck, cluster, monkeypatch):
    """`busybox` without a program ends at once, so the Swarm starts it again for ever."""
    cluster.api.tag(IMAGE, "busybox", "latest")
    monkeypatch.setattr(rollouts, "MAX_FAILURES", 1)
    line = "docker service create -p 8080:80 --name hello-world --restart-delay 500ms busybox"
    shown = await said(deck, line, Ending.FAILED)
    assert "hello-world was not created as asked: 0 of 1 run it; hello-world.1 " in shown, shown
    assert "The service exists, and the Swarm goes on trying; to end that: service rm hello-world" in shown
    (port,) = cluster.api.inspect_service("hello-world")["Spec"]["EndpointSpec"]["Ports"]
    assert (port["PublishedPort"], port["TargetPort"]) == (8080, 80)


async def test_a_service_that_no_node_may_run_says_so(deck, cluster):
    line = f"service create --name far --constraint node.labels.zone==moon --timeout 8 {SLEEP} {IMAGE} {FOREVER}"
    shown = await said(deck, line, Ending.FAILED)
    assert "0 of 1 run it after 8 s; 1 pending: no suitable node (scheduling constraints not satisfied" in shown, shown
    shown = await said(deck, "service update --constraint-rm node.labels.zone==moon far")
    assert "1 of 1 run it" in shown
    cluster.api.remove_service("far")


async def test_two_changes_at_once_lose_none(deck, cluster):
    """docker-py changes the service between our reading and our writing, each time."""
    cluster.serve("web")
    wait_for("the task", lambda: cluster.states("web") == ["running"])
    target = cluster.api.inspect_service("web")

    def change(**spec):
        now = cluster.api.inspect_service("web")
        more = {**now["Spec"], **spec}
        url = f"{cluster.api.base_url}/v1.41/services/{now['ID']}/update?version={now['Version']['Index']}"
        answer = cluster.api.post(url, json=more)
        assert answer.status_code == 200, answer.text

    swarm = next(engine for engine in deck.engines if engine.ref.kind == "swarm")
    ask, stop = swarm.managers.ask, threading.Event()

    async def in_between(verb, method, path, seconds, **more):
        if method == "POST" and path.endswith("registryAuthFrom=spec") and not stop.is_set():
            stop.set()
            await asyncio.to_thread(change, **changes)
        return await ask(verb, method, path, seconds, **more)

    swarm.managers.ask = in_between
    changes = {"Labels": {"who": "other"}}
    shown = await said(deck, "service update --env-add A=1 web")
    assert "somebody else changed it at the same time, and both changes apply" in shown, shown
    now = cluster.api.inspect_service("web")
    assert now["Spec"]["Labels"]["who"] == "other" and container(cluster, "web")["Env"] == ["A=1"]
    assert now["Version"]["Index"] > target["Version"]["Index"]

    stop.clear()
    changes = {"Labels": {"who": "other", "team": "theirs"}}
    shown = await said(deck, "service update --label-add team=ours web", Ending.FAILED)
    assert "Somebody else changed Labels.team of web at the same time, so this change was not made" in shown
    assert cluster.api.inspect_service("web")["Spec"]["Labels"]["team"] == "theirs"


async def test_secrets_configs_and_volumes_are_where_they_were_asked_for(deck, cluster):
    cluster.api.create_secret("key", b"hunter2")
    cluster.api.create_config("conf", b"hunter3")
    command = "-- /bin/sh -c 'cat /run/secrets/k /conf; echo; touch /data/x; exec sleep 3600'"
    await said(
        deck,
        "service create --name web --secret source=key,target=k --config source=conf,target=/conf"
        f" --mount source=data,target=/data {SLEEP} {IMAGE} {command}",
    )
    made = cluster.api.containers()[0]["Id"]
    wait_for("both contents", lambda: b"hunter2" in cluster.api.logs(made) and b"hunter3" in cluster.api.logs(made))
    assert {mount.get("Name") for mount in cluster.api.inspect_container(made)["Mounts"]} >= {"data"}
    await said(deck, "service update --secret-rm key --config-rm conf --args \"/bin/sh -c 'exec sleep 60'\" web")
    assert not container(cluster, "web").get("Secrets") and not container(cluster, "web").get("Configs")


async def test_a_volume_that_is_a_directory_of_a_host_or_holds_something_protected_is_refused(deck, cluster):
    cluster.api.create_volume("etc", driver_opts={"type": "none", "device": "/etc", "o": "bind"})
    cluster.api.create_volume("ours")
    kept = cluster.api.create_container(
        IMAGE,
        ["sleep", "1"],
        labels={"quarterdeck.protected": "true"},
        host_config=cluster.api.create_host_config(binds=["ours:/x"]),
    )
    try:
        for volume, words in (
            ("etc", "You may not mount the volume etc: it is the path /etc of the host"),
            ("ours", "belongs to a part of Quarterdeck"),
        ):
            line = f"service create --name web --mount source={volume},target=/x {IMAGE} {FOREVER}"
            assert words in await said(deck, line, Ending.REFUSED)
        assert cluster.api.services() == []
    finally:
        cluster.api.remove_container(kept["Id"])


async def test_a_service_that_was_made_anew_since_the_question_is_left_alone(deck, cluster):
    cluster.serve("web")
    asked = await deck.say("service rm web")
    assert asked.ending is Ending.ASKED
    cluster.api.remove_service("web")
    cluster.serve("web")
    reply = await deck.say(asked.buttons[0].line)
    assert reply.ending is Ending.USAGE and "web was removed after you gave the command. Nothing was done" in text(
        reply
    )
    assert [one["Spec"]["Name"] for one in cluster.api.services()] == ["web"]


async def test_an_engine_becomes_a_swarm_by_a_line_and_shows_how_to_join_it(valkey):
    with private_dockerd(host="m1") as daemon:
        opened = await Opened(daemon).meet()
        async with Deck(valkey.url, opened.all, seconds=90.0) as deck:
            deck.fleet = opened.fleet
            assert "None of the watched engines manages a Swarm" in await said(
                deck, "swarm join-token worker", Ending.NOTHING
            )
            reply = await deck.say("docker swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:0")
            assert reply.ending is Ending.ASKED
            shown = text(await deck.say(reply.buttons[0].line))
            assert "made a manager of a new Swarm" in shown
            try:
                assert daemon.api.inspect_swarm()["ID"] in shown
                again = await said(deck, "swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:0")
                assert "is in a Swarm already" in again
            finally:
                await asyncio.to_thread(daemon.api.leave_swarm, force=True)


async def test_a_join_token_is_the_swarms_own(deck, cluster):
    reply = await deck.say("swarm join-token manager")
    token = cluster.api.inspect_swarm()["JoinTokens"]["Manager"]
    assert f"docker swarm join --token {token} {cluster.address}" in text(reply) and reply.secret
    rows = await deck.store.read_audit(count=20)
    assert token not in repr([row.fields for row in rows])


async def test_a_join_token_is_made_anew_and_the_other_one_stays(deck, cluster):
    before = cluster.api.inspect_swarm()["JoinTokens"]
    shown = await said(deck, "docker swarm join-token --rotate worker")
    after = cluster.api.inspect_swarm()["JoinTokens"]
    assert before["Worker"] != after["Worker"] and before["Manager"] == after["Manager"]
    assert "given a new worker token" in shown and after["Worker"] not in shown
    rows = await deck.store.read_audit(count=20)
    assert RotateJoinToken.verb in {row.fields["verb"] for row in rows}
    assert after["Worker"] not in repr([row.fields for row in rows])
    assert after["Worker"] in await said(deck, "swarm join-token worker")
