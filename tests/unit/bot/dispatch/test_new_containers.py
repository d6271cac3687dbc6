"""`run` and `create` through the whole dispatcher: what reaches the host is closed by every road, and what is typed is
what the engine gets."""

from __future__ import annotations

import pytest

from bot import plain_text
from core.model.host_access import HostAccess, MountPoint
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="slack:T1/U1", name="bob")
EVERYTHING_ELSE = ("*", "container.*", "operator", "admin", "risk:read", "risk:change", "risk:destroy", "policy.*")
ROADS = (
    "-v /:/host",
    "-v /etc:/etc:ro",
    "-v /var/run/docker.sock:/s",
    "-v data:/data -v /root:/root",
    "--network host",
    "--net host",
    "--network container:web",
    "--pid host",
    "--pid container:web",
    "--ipc host",
    "--uts host",
    "--userns host",
    "--cgroupns host",
    "--privileged",
    "--cap-add SYS_ADMIN",
    "--cap-add=ALL",
    "--device /dev/sda",
    "--device=/dev/sda:/dev/x:rwm",
    "--security-opt seccomp=unconfined",
    "--volumes-from web",
)


def text(reply) -> str:
    return plain_text.render(reply, width=120)


def engine(*allow: str) -> FakeRuntime:
    made = FakeRuntime("host7", kind="docker", allow=allow)
    made.add("web")
    made.add("guarded", labels={"quarterdeck.protected": "true"})
    return made


def policy(*can: str, guards: tuple[Guard, ...] = (), on: Selector = Selector()) -> Policy:
    return Policy(grants=(Grant(id="g1", who=BOB.id, can=can, on=on),), guards=guards)


@pytest.mark.parametrize("road", ROADS)
async def test_what_reaches_the_host_is_closed_to_whoever_has_everything_else(valkey, road):
    opened = engine("*", "host.reach")
    async with Deck(valkey.url, (opened,), policy=policy(*EVERYTHING_ELSE)) as deck:
        for word in ("run", "create", "docker run -d"):
            reply = await deck.say(f"{word} --name new {road} busybox", BOB)
            assert reply.ending is Ending.REFUSED and "host.reach" in text(reply), text(reply)
            assert not hasattr(opened, "created")
        reply = await deck.say(f"run --name new {road} busybox")
        assert reply.ending is Ending.OK, text(reply)
        assert opened.created[0].needs()


@pytest.mark.parametrize("road", ROADS)
async def test_the_engines_owner_must_name_it_even_for_the_owner_of_the_bot(valkey, road):
    closed = engine("*")
    async with Deck(valkey.url, (closed,), policy=policy(*EVERYTHING_ELSE, "host.reach")) as deck:
        for who in ({}, {"who": BOB}):
            reply = await deck.say(f"run --name new {road} busybox", **who)
            assert reply.ending is Ending.REFUSED and "does not allow host.reach" in text(reply), text(reply)
        assert not hasattr(closed, "created")


async def test_the_refusal_says_what_would_reach_the_host(valkey):
    async with Deck(valkey.url, (engine("*", "host.reach"),), policy=policy("container.*")) as deck:
        shown = text(await deck.say("run --name new -v /:/x --privileged busybox", BOB))
    assert (
        "bob does not have the permission host.reach on new" in shown
        and "new runs privileged, mounts / of the host" in shown
    )
    assert "quarterdeck.yaml" in shown


async def test_what_is_granted_is_done_and_guards_see_it(valkey):
    ask = Guard(id="careful", can=("host.reach",), ask=Ask.DENY, on=Selector(labels=(("env", "prod"),)))
    opened = engine("*", "host.reach")
    async with Deck(valkey.url, (opened,), policy=policy("container.*", "host.reach", guards=(ask,))) as deck:
        reply = await deck.say("run --name new -l env=prod -v /etc:/x busybox", BOB)
        assert reply.ending is Ending.REFUSED and "careful" in text(reply)
        reply = await deck.say("run --name new -l env=test --pull never -v /etc:/x busybox", BOB)
        # The image may bring the label, but not another value than the request's.
        assert reply.ending is Ending.OK, text(reply)
        assert opened.created[0].access == HostAccess(mounts=(MountPoint(target="/x", source="/etc"),))
        reply = await deck.say("run --name other -v /etc:/x busybox", BOB)
        assert reply.ending is Ending.REFUSED, "its image may bring the label"


@pytest.mark.parametrize("road", ["--network container:guarded", "--pid container:guarded", "--volumes-from guarded"])
async def test_a_protected_container_is_joined_by_nobody(valkey, road):
    opened = engine("*", "host.reach")
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say(f"run --name new {road} busybox")
        assert reply.ending is Ending.REFUSED and "protected" in text(reply), text(reply)
        assert not hasattr(opened, "created")


async def test_a_link_needs_to_be_allowed_to_inspect_what_it_shows(valkey):
    opened = engine()
    some = Policy(
        grants=(
            Grant(id="g1", who=BOB.id, can=("container.create", "image.pull")),
            Grant(id="g2", who=BOB.id, can=("container.list",)),
        )
    )
    async with Deck(valkey.url, (opened,), policy=some) as deck:
        reply = await deck.say("run --name new --link web:db busybox", BOB)
        assert reply.ending is Ending.REFUSED and "container.inspect" in text(reply)
        assert (await deck.say("run --name new --link web:db busybox")).ending is Ending.OK
        (link,) = opened.created[0].links
        assert (link.target.name, link.alias) == ("web", "db")


async def test_whoever_may_create_some_creates_only_these(valkey):
    opened = engine()
    team = Selector(labels=(("team", "a"),))
    async with Deck(valkey.url, (opened,), policy=policy("container.*", on=team)) as deck:
        assert (await deck.say("run --name new -l team=a busybox", BOB)).ending is Ending.OK
        for labels in ("", "-l team=b", "-l Team=a"):
            reply = await deck.say(f"run --name other {labels} busybox", BOB)
            assert reply.ending is Ending.REFUSED, text(reply)
        assert [action.name for action in opened.created] == ["new"]


async def test_a_guard_on_an_image_sees_the_pull(valkey):
    guard = Guard(id="ours-only", can=("image.pull",), ask=Ask.DENY, on=Selector(name="evil.example/*"))
    async with Deck(valkey.url, (engine(),), policy=policy("container.*", guards=(guard,))) as deck:
        reply = await deck.say("run evil.example/miner:1", BOB)
        assert reply.ending is Ending.REFUSED and "ours-only" in text(reply)
        assert (await deck.say("run busybox", BOB)).ending is Ending.OK


async def test_what_is_typed_is_what_the_engine_gets(valkey):
    opened = engine()
    line = (
        "docker run -d --name new -p 8080:80 -p 53/udp -e A=1=2 -e B= -v data:/data:ro -v /tmp -l team=a"
        " --network front --restart on-failure:3 -m 64m --cpus 1.5 -u 1000:1000 -w /srv --entrypoint /bin/sh"
        " --health-cmd 'test -f /ok'"
        " --pull always registry.example/team/app:2 -- -c 'echo $HOME'"
    )
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say(line)
        assert reply.ending is Ending.OK, text(reply)
    (made,) = opened.created
    assert (made.image, made.name, made.start, made.pull) == ("registry.example/team/app:2", "new", True, "always")
    assert made.command == ("-c", "echo $HOME") and made.entrypoint == ("/bin/sh",)
    assert (made.ports, made.environment) == (("8080:80", "53/udp"), (("A", "1=2"), ("B", "")))
    assert made.access.mounts == (
        MountPoint(target="/data", source="data", read_only=True),
        MountPoint(target="/tmp"),
    )
    assert (made.labels, made.network, made.restart) == ((("team", "a"),), "front", "on-failure:3")
    assert (made.memory, made.cpus, made.user, made.workdir) == ("64m", 1.5, "1000:1000", "/srv")
    assert (made.health, made.remove) == ("test -f /ok", False)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run -it busybox sh", "chat has no terminal"),
        ("run -v ./here:/x busybox", "neither an absolute path"),
        ("run -v ~/x:/x busybox", "neither an absolute path"),
        ("run -v data busybox", "--volume cannot be"),
        ("run -v a:b:c:d busybox", "--volume cannot be"),
        ("run -v :/x busybox", "neither an absolute path"),
        ("run -e HOME busybox", "has no value"),
        ("run -m lots busybox", "--memory cannot be"),
        ("run --cpus -1 busybox", "--cpus"),
        ("run --network ns:/proc/1/ns/net busybox", "--network cannot be"),
        ("run --network slirp4netns:allow_host_loopback=true busybox", "--network cannot be"),
        ("run --pid private busybox", "--pid cannot be"),
        ("run --userns container:web busybox", "Write host."),
        ("run --network container:nobody busybox", "nobody"),
        ("run --rm --restart always busybox", "cannot be combined"),
        ("run --restart sometimes busybox", "is not a restart policy"),
        ("run -p 99999:80 busybox", "is not a port that can be published"),
        ("run -p 1-65535:1-65535 busybox", "is not a port that can be published"),
        ("run -p 80:x busybox", "is not a port that can be published"),
        ("run --name 'a b' busybox", "cannot be the name of a container"),
        ("run --name=-x busybox", "cannot be the name of a container"),
        ("run BusyBox", "is not the name of an image"),
        ("run", "run needs IMAGE"),
    ],
)
async def test_bad_words_are_a_sentence_and_reach_no_engine(valkey, line, words):
    opened = engine()
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say(line)
        assert words in text(reply), text(reply)
        assert reply.ending is not Ending.OK and not hasattr(opened, "created")


async def test_an_image_that_cannot_be_pulled_leaves_nothing_behind(valkey):
    opened = engine()
    opened.remote["nope:1"] = None
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say("run --name new nope:1")
        assert reply.ending is Ending.FAILED and "new was not started: manifest for nope:1 not found" in text(reply)
    assert {row.ref.name for row in opened.containers.values()} == {"web", "guarded"}
