"""Guards and brakes see what a command does to other things, whatever its verb is called."""

import msgspec
import pytest

from bot import plain_text
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import EVERYTHING, Selector
from core.model.refs import Kind, Ref
from core.model.replies import Ending
from core.model.services import Service
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="console:bob", name="bob")
PROD = Selector(labels=(("env", "prod"),))


def may(*can, on=EVERYTHING):
    return Grant(id="may", who=BOB.id, can=can or ("viewer", "operator"), on=on)


def guard(*can, on=EVERYTHING, ask=Ask.DENY):
    return Guard(id="g", can=can, ask=ask, on=on)


def replica(engine, number, **labels):
    compose = {"project": "shop", "service": "web", "container-number": str(number)}
    named = {f"com.docker.compose.{key}": value for key, value in compose.items()}
    return engine.add(f"shop-web-{number}", labels=named | labels)


@pytest.fixture
def docker():
    made = FakeRuntime("h1", kind="docker", lacks=("pod.*", "node.*", "unit.*"))
    replica(made, 1)
    replica(made, 2)
    replica(made, 3, env="prod")
    return made


@pytest.fixture
def podman():
    made = FakeRuntime("h1", kind="podman", name="1001", lacks=("node.*", "service.*"))
    web = made.add("web", labels={"env": "prod"})
    made.add_pod("shop", web)
    made.add_unit(web)
    return made


@pytest.fixture
def swarm():
    made = FakeRuntime("c1", kind="swarm", lacks=("container.*", "image.*", "pod.*", "unit.*"))
    ref = Ref(engine=made.ref, kind=Kind.SERVICE, id="f" * 25, name="mail_smtp")
    made.swarm.append(
        Service(
            ref=ref,
            mode="replicated",
            image="postfix:3",
            running=3,
            desired=3,
            labels=({"env": "prod"},),
            project="mail",
            service="mail_smtp",
        )
    )
    node = made.add_node("n1")
    made.add_task("smtp", node)
    return made


async def say(valkey, engine, line, *guards, who=BOB, grants=None):
    valkey.say(b"FLUSHALL\r\n")
    policy = Policy(grants=grants or (may(),), guards=guards)
    async with Deck(valkey.url, [engine], policy=policy) as deck:
        reply = await deck.say(line, who)
        return reply.ending, plain_text.render(reply)


DOWN_GUARDS = [
    guard("risk:destroy"),
    guard("container.remove"),
    guard("container.*"),
    guard("ends"),
    guard("ends", on=PROD),
    guard("container.remove", on=PROD),
    guard("container.remove", on=Selector(name="shop-web-3")),
    guard("risk:destroy", on=Selector(project="shop")),
]


@pytest.mark.parametrize("one", DOWN_GUARDS, ids=lambda one: f"{one.can[0]} {one.on}")
async def test_scaling_down_is_refused_by_every_guard_on_removing_one_of_the_containers(valkey, docker, one):
    ending, text = await say(valkey, docker, "scale shop/web=2", one)
    assert ending is Ending.REFUSED and "The guard g denies" in text
    assert len(docker.containers) == 3


@pytest.mark.parametrize("one", DOWN_GUARDS, ids=lambda one: f"{one.can[0]} {one.on}")
async def test_scaling_up_removes_nothing_and_no_guard_minds(valkey, docker, one):
    assert (await say(valkey, docker, "scale shop/web=4", one))[0] is Ending.OK


async def test_a_guard_on_another_container_does_not_mind(valkey, docker):
    other = guard("container.remove", "ends", on=Selector(name="shop-web-1"))
    ending, text = await say(valkey, docker, "scale shop/web=2", other)
    assert ending is Ending.ASKED and "removes shop-web-3" in text
    assert (await say(valkey, docker, "scale shop/web=0", other))[0] is Ending.REFUSED


async def test_scaling_down_asks_and_then_removes_exactly_what_was_named(valkey, docker):
    async with Deck(valkey.url, [docker], policy=Policy(grants=(may(),))) as deck:
        asked = await deck.say("scale shop/web=1", BOB)
        assert "This removes shop-web-3, shop-web-2." in plain_text.render(asked)
        replica(docker, 4)
        reply = await deck.say(asked.buttons[0].line, BOB)
        assert "would now also remove shop-web-4. Nothing was done" in plain_text.render(reply)
        assert len(docker.containers) == 4
        asked = await deck.say("scale shop/web=1", BOB)
        assert (await deck.say(asked.buttons[0].line, BOB)).ending is Ending.OK
        assert [row.ref.name for row in docker.containers.values()] == ["shop-web-1"]
        rows = [row.fields for row in await deck.store.read_audit(count=10)]
        (intent,) = [row for row in rows if row["phase"] == "intent"]
        named = [each.partition("@")[0] for each in intent["destroys"].split(", ")]
        assert named == [f"container.remove shop-web-{number}" for number in (4, 3, 2)]


@pytest.mark.parametrize(
    "one",
    [guard("risk:destroy"), guard("ends"), guard("risk:destroy", on=PROD), guard("container.remove", "ends", on=PROD)],
    ids=lambda one: f"{one.can[0]} {one.on}",
)
async def test_scaling_a_swarm_service_down_is_destroying_and_up_is_not(valkey, swarm, one):
    assert (await say(valkey, swarm, "scale smtp=2", one))[0] is Ending.REFUSED
    assert (await say(valkey, swarm, "scale smtp=4", one))[0] is Ending.OK
    ending, text = await say(valkey, swarm, "scale smtp=2")
    assert ending is Ending.ASKED and "ends tasks of mail_smtp" in text


async def test_a_grant_of_changes_alone_does_not_scale_down(valkey, docker, swarm):
    changes = (may("viewer", "risk:change"),)
    for engine, up, down in ((docker, "web=4", "web=1"), (swarm, "smtp=4", "smtp=1")):
        assert (await say(valkey, engine, f"scale {up}", grants=changes))[0] is Ending.OK
        ending, text = await say(valkey, engine, f"scale {down}", grants=changes)
        assert ending is Ending.REFUSED and "does not have the permission service.scale" in text


@pytest.mark.parametrize(
    ("line", "can"),
    [
        ("unit stop web", "container.stop"),
        ("unit stop web", "container.remove"),
        ("unit stop web", "risk:destroy"),
        ("unit disable --now web", "container.stop"),
        ("unit disable --now web", "risk:destroy"),
        ("linger disable", "container.stop"),
        ("linger disable", "ends"),
        ("unit restart web", "container.restart"),
        ("unit restart web", "ends"),
        ("unit install web", "container.remove"),
        ("unit install web", "risk:destroy"),
        ("stop web", "ends"),
        ("kill web", "ends"),
        ("pause web", "ends"),
        ("rm -f web", "ends"),
        ("restart web", "ends"),
    ],
)
@pytest.mark.parametrize("on", [EVERYTHING, PROD, Selector(name="web")], ids=str)
async def test_a_guard_on_a_container_sees_its_unit_and_every_way_to_end_it(valkey, podman, line, can, on):
    grants = (may("*"),)
    ending, text = await say(valkey, podman, line, guard(can, on=on), grants=grants)
    assert ending is Ending.REFUSED and "The guard g denies" in text
    other = guard(can, on=Selector(labels=(("env", "dev"),)))
    assert (await say(valkey, podman, line, other, grants=grants))[0] in (Ending.OK, Ending.ASKED)


async def test_stopping_a_container_that_has_rm_asks_because_it_removes_it(valkey, podman):
    ref = next(row.ref for row in podman.containers.values())
    podman.containers[ref.id] = msgspec.structs.replace(podman.containers[ref.id], auto_remove=True)
    ending, text = await say(valkey, podman, "stop web")
    assert ending is Ending.ASKED and "This removes web, because it was created with --rm." in text
    for can in ("risk:destroy", "container.remove", "volume.remove"):
        assert (await say(valkey, podman, "stop web", guard(can)))[0] is Ending.REFUSED
        assert (await say(valkey, podman, "restart web", guard(can)))[0] is Ending.REFUSED
        assert (await say(valkey, podman, "pause web", guard(can)))[0] is Ending.OK
        podman.containers[ref.id] = msgspec.structs.replace(podman.containers[ref.id], state="running")


async def test_a_unit_that_is_only_taken_out_of_the_boot_ends_nothing(valkey, podman):
    for one in (guard("ends"), guard("risk:destroy"), guard("container.*")):
        ending, text = await say(valkey, podman, "unit disable web", one, grants=(may("*"),))
        assert ending is Ending.OK, text


async def test_lingering_that_keeps_a_protected_container_running_is_switched_off_by_nobody(valkey, podman):
    podman.add("keeper", labels={"quarterdeck.protected": "true"})
    async with Deck(valkey.url, [podman]) as deck:
        for line in ("linger disable", "linger disable --engine podman"):
            reply = await deck.say(line)
            assert reply.ending is Ending.REFUSED and "protected" in plain_text.render(reply)
    podman.asked.clear()
    own = podman.add("bot")
    podman.containers = {key: row for key, row in podman.containers.items() if row.ref.name != "keeper"}
    async with Deck(valkey.url, [podman], policy=Policy(self_ids=frozenset({own.id}))) as deck:
        assert (await deck.say("linger disable")).ending is Ending.REFUSED
    assert "change" not in podman.asked


async def test_draining_a_node_removes_what_runs_there_also_where_nobody_looks(valkey, swarm):
    assert (await say(valkey, swarm, "drain n1"))[0] is Ending.ASKED
    for one in (guard("container.remove"), guard("risk:destroy"), guard("ends"), guard("container.*")):
        assert (await say(valkey, swarm, "drain n1", one))[0] is Ending.REFUSED


async def test_a_pull_that_moves_a_tag_is_seen_as_tagging(valkey, docker):
    docker.add_image("registry.example/shop/web:1", labels={"env": "prod"})
    for one in (guard("image.tag"), guard("image.tag", on=PROD), guard("image.tag", on=Selector(name="*/shop/web:1"))):
        assert (await say(valkey, docker, "pull registry.example/shop/web:1", one))[0] is Ending.REFUSED
        assert (await say(valkey, docker, "pull registry.example/shop/web:2", one))[0] is Ending.OK
    dev = guard("image.tag", on=Selector(labels=(("env", "dev"),)))
    assert (await say(valkey, docker, "pull registry.example/shop/web:1", dev))[0] is Ending.OK


async def test_whether_a_container_has_rm_is_looked_up_where_the_list_does_not_say(valkey):
    docker = FakeRuntime("h1", kind="docker")
    for name, auto_remove in (("job", True), ("web", False)):
        ref = docker.add(name)
        docker.containers[ref.id] = msgspec.structs.replace(docker.containers[ref.id], auto_remove=None)
        docker.host_configs[ref.id] = {"AutoRemove": auto_remove}
    ending, text = await say(valkey, docker, "stop job")
    assert ending is Ending.ASKED and "created with --rm" in text
    assert (await say(valkey, docker, "stop job", guard("risk:destroy")))[0] is Ending.REFUSED
    assert (await say(valkey, docker, "stop web", guard("risk:destroy")))[0] is Ending.OK


async def test_what_cannot_be_looked_up_is_guarded_and_not_asked_about(valkey):
    docker = FakeRuntime("h1", kind="docker", lacks=("container.inspect",))
    ref = docker.add("job")
    docker.add("other")
    docker.containers[ref.id] = msgspec.structs.replace(docker.containers[ref.id], auto_remove=None)
    assert (await say(valkey, docker, "stop job", guard("risk:destroy")))[0] is Ending.REFUSED
    assert (await say(valkey, docker, "stop job"))[0] is Ending.OK
