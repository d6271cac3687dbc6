"""images, pods, nodes: which rows come, in which words, and what is said of engines that have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot import plain_text
from core import errors
from core.model.images import Image, Images, ListImages
from core.model.pods import ListPods, Pod, Pods
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending, Lines, Reply, Status, Table
from core.model.results import Outcome
from core.model.swarm import ActivateNode, DrainNode, ListNodes, Node, Nodes
from core.model.units import Unit, Units
from tests.unit.commands.conftest import HOST7, HOST8, NOW

DAY = 86_400.0


def ref(kind: Kind, name: str, thing: str, engine: EngineRef = HOST7) -> Ref:
    return Ref(engine=engine, kind=kind, id=thing, name=name)


def image(*tags: str, number: int = 1, engine: EngineRef = HOST7, **more: Any) -> Image:
    thing = f"sha256:{number:02x}" + "0" * 62
    name = tags[0] if tags else thing[7:19]
    given = {"size": 4_261_000, "created_at": NOW.timestamp() - 3 * DAY} | more
    return Image(ref=ref(Kind.IMAGE, name, thing, engine), tags=tags, **given)


def answers(*of: object) -> Callable[[Any], Any]:
    """What host7 and host8 say, in this order."""
    said = dict(zip((HOST7, HOST8), of, strict=False))
    return lambda action: said[action.engine]


def rows(reply: Reply) -> list[dict[str, Any]]:
    table = reply.blocks[0]
    assert isinstance(table, Table)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


HELD = Images(
    rows=(
        image("nginx:1.27", number=0xAA),
        image(number=0xBB, size=0, created_at=0.0),
        image("busybox:1", "registry.example:5000/tools/busybox:1", number=0xCC, labels={"app": "shop"}),
        image("docker.io/library/redis:7", number=0xDD, digests=("docker.io/library/redis@sha256:" + "e" * 64,)),
    )
)


async def test_an_image_is_a_line_for_each_of_its_tags(world):
    assert await world.plan("images") == [ListImages(engine=HOST7)]
    shown = rows(await world.say("images", answers(HELD)))
    assert [(row["REPOSITORY"], row["TAG"]) for row in shown] == [
        ("busybox", "1"),
        ("docker.io/library/redis", "7"),
        ("nginx", "1.27"),
        ("registry.example:5000/tools/busybox", "1"),
        ("<none>", "<none>"),
    ]
    assert shown[2] == {"REPOSITORY": "nginx", "TAG": "1.27", "ID": "aa0000000000", "SIZE": "4.3 MB", "AGE": "3 days"}
    assert (shown[4]["ID"], shown[4]["SIZE"], shown[4]["AGE"]) == ("bb0000000000", "", "")


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        # A repository in full before the end of a longer path, and then each of its tags.
        ("busybox", ["cc"]),
        ("busybox:1", ["cc"]),
        ("busy", ["cc"]),
        ("tools/busybox", ["cc"]),
        ("'registry.example:5000/*'", ["cc"]),
        ("redis", ["dd"]),
        ("docker.io/library/redis:7", ["dd"]),
        ("'docker.io/*'", ["cc", "dd", "aa"]),
        ("redis@sha256:" + "e" * 64, ["dd"]),
        ("docker.io/library/redis@sha256:" + "e" * 64, ["dd"]),
        ("sha256:" + "e" * 64, ["dd"]),
        ("bb00", ["bb"]),
        ("sha256:bb00", ["bb"]),
        ("redis@host7", ["dd"]),
        ("redis@host8", []),
        ("--label app=shop", ["cc", "cc"]),
        ("nginx redis", ["dd", "aa"]),
    ],
)
async def test_words_choose_among_images(world, said, ids):
    reply = await world.say(f"images {said} -q", answers(HELD))
    found = reply.blocks[0].lines if isinstance(reply.blocks[0], Lines) else []
    assert [line[:2] for line in found] == list(dict.fromkeys(ids))
    reply = await world.say(f"images {said}", answers(HELD))
    assert [row["ID"][:2] for row in rows(reply)] == ids if ids else reply.ending is Ending.NOTHING


async def test_a_word_that_means_no_image_is_said_and_hides_nothing_else(world):
    reply = await world.say("images nginx busybux", answers(HELD))
    assert len(rows(reply)) == 1
    assert "There is no image “busybux”. Did you mean busybox:1?" in plain_text.render(reply)
    assert reply.ending is Ending.OK
    assert "List all images with: images" in plain_text.render(await world.say("images zzzzz", answers(HELD)))


async def test_one_engine_that_is_away_hides_only_its_own_rows(two_hosts):
    gone = errors.Unreachable("docker/host8 does not answer.", hint="Is it running?")
    reply = await two_hosts.say("images nginx", answers(HELD, gone))
    assert [row["HOST"] for row in rows(reply)] == ["host7"]
    assert "No result from docker/host8: docker/host8 does not answer. Is it running?" in plain_text.render(reply)
    reply = await two_hosts.say("images", answers(gone, gone))
    assert reply.ending is Ending.FAILED
    assert "There are no images" not in plain_text.render(reply)


LACKING = errors.Unsupported("image.list", "docker/host8", "It supports: container.list.")


async def test_an_engine_that_knows_no_images_has_none_to_be_missed(two_hosts):
    text = plain_text.render(await two_hosts.say("images", answers(HELD, LACKING)))
    assert "host8" not in text
    # Where no other answers, it is said with what comes nearest.
    reply = await two_hosts.say("images", answers(LACKING, LACKING))
    assert "docker/host8 does not support image.list. It supports: container.list." in plain_text.render(reply)
    assert reply.ending is Ending.USAGE
    reply = await two_hosts.say("images", answers(Images(rows=()), LACKING))
    assert plain_text.render(reply).strip().startswith("There are no images.")


async def test_several_engines_that_hold_the_same_are_told_apart(two_hosts):
    far = Images(rows=(image("nginx:1.27", number=0xAA, engine=HOST8),))
    shown = rows(await two_hosts.say("images nginx", answers(HELD, far)))
    assert [(row["TAG"], row["HOST"]) for row in shown] == [("1.27", "host7"), ("1.27", "host8")]
    only = rows(await two_hosts.say("images nginx@host8", answers(HELD, far)))
    assert [row["HOST"] for row in only] == ["host8"]


def pod(name: str, number: int, **more: Any) -> Pod:
    given: dict[str, Any] = {"state": "running", "created_at": NOW.timestamp() - 7200, "labels": {}} | more
    return Pod(ref=ref(Kind.POD, name, f"{number:02x}" * 32), **given)


PODS = Pods(
    rows=(
        pod("web", 2, members=("a" * 64, "b" * 64), running=1, state="degraded", labels={"app": "shop"}),
        pod("cart", 1, created_at=0.0),
    )
)


async def test_a_pod_says_how_many_of_its_containers_run(world):
    assert await world.plan("pods") == [ListPods(engine=HOST7)]
    shown = rows(await world.say("pods", answers(PODS)))
    assert shown == [
        {"POD": "cart", "STATUS": "running", "CONTAINERS": "0/0", "CREATED": "", "ID": "01" * 6},
        {"POD": "web", "STATUS": "degraded", "CONTAINERS": "1/2", "CREATED": "2 hours ago", "ID": "02" * 6},
    ]
    assert [row["POD"] for row in rows(await world.say("pods --label app", answers(PODS)))] == ["web"]
    assert "No pod matches" in plain_text.render(await world.say("pods --label app=x", answers(PODS)))


async def test_the_kubelets_pods_have_a_namespace_and_an_address(world):
    told = Pods(rows=(pod("web", 1, namespace="shop", address="10.1.0.7"), pod("web", 2, namespace="blog")))
    shown = rows(await world.say("pods", answers(told)))
    assert [(row["NAMESPACE"], row["POD"], row["ADDRESS"]) for row in shown] == [
        ("blog", "web", ""),
        ("shop", "web", "10.1.0.7"),
    ]
    assert [row["NAMESPACE"] for row in rows(await world.say("pods shop/web", answers(told)))] == ["shop"]


def node(name: str, thing: str, engine: EngineRef = HOST7, **more: Any) -> Node:
    given = {"state": "ready", "availability": "active", "role": "worker", "address": "10.0.0.1"} | more
    return Node(ref=ref(Kind.NODE, name, thing, engine), **given)


NODES = Nodes(
    rows=(
        node("worker-2", "n2", state="down", message="heartbeat failure", availability="drain"),
        node("worker-1", "n1", tasks=4),
        node("boss", "n0", role="manager", leader=True, tasks=1),
    )
)


async def test_nodes_come_managers_first_with_why_one_is_not_ready(world):
    assert await world.plan("nodes") == [ListNodes(engine=HOST7)]
    shown = rows(await world.say("nodes", answers(NODES)))
    assert [(row["NODE"], row["STATUS"], row["AVAILABILITY"], row["ROLE"], row["TASKS"]) for row in shown] == [
        ("boss", "ready", "active", "manager (leader)", 1),
        ("worker-1", "ready", "active", "worker", 4),
        ("worker-2", "down: heartbeat failure", "drain", "worker", "-"),
    ]
    assert "VERSION" not in shown[0]


@pytest.mark.parametrize(("word", "action"), [("drain", DrainNode), ("activate", ActivateNode)])
async def test_nodes_are_what_is_drained_and_activated(world, word, action):
    plan = await world.plan(f"{word} web --host host7")
    assert world.find.asked[-1].kind is Kind.NODE
    assert [type(one) for one in plan] == [action]
    done = await world.say(f"{word} web", lambda _: Outcome(status=Status.DONE))
    assert plain_text.render(done).strip() == f"web {'drained' if word == 'drain' else 'activated'}."
    noop = await world.say(f"{word} web", lambda _: Outcome(status=Status.NOOP))
    assert "already" in plain_text.render(noop)


async def test_what_is_not_known_of_a_node_is_looked_for_among_nodes(world):
    world.find.rows = ()

    async def find(query):
        return [ref(Kind.NODE, "worker-1", "n1")]

    world.find.find = find
    lost = errors.TimedOut("docker/host7 did not answer within 10 s.", sent=True)
    reply = await world.say("drain worker-1", lambda _: lost)
    assert reply.ending is Ending.UNKNOWN
    assert [button.line for button in reply.buttons] == ["nodes worker-1@docker/host7"]
    assert "Check with: nodes worker-1@docker/host7" in plain_text.render(reply)


async def test_labels_are_those_of_any_one_part(world):
    def unit(name: str, *labels: dict[str, str]) -> Unit:
        return Unit(ref=ref(Kind.UNIT, name, name), active="active", sub="running", labels=labels)

    told = Units(
        rows=(
            unit("both.service", {"a": "1", "b": "2"}),
            unit("each.service", {"a": "1"}, {"b": "2"}),
            unit("none.service"),
        )
    )
    for line, names in (
        ("units --label a=1 --label b=2", ["both.service"]),
        ("units --label a=1", ["both.service", "each.service"]),
        ("units", ["both.service", "each.service", "none.service"]),
    ):
        assert [row["UNIT"] for row in rows(await world.say(line, answers(told)))] == names
