"""Before a question is asked, it is looked up whether the engine would refuse, and who stands in the way is said."""

import asyncio

import msgspec
import pytest

from bot import plain_text
from core import errors
from core.model.actions import ShowInfo
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.refs import Kind, Ref
from core.model.replies import Ending
from core.model.results import Document
from core.model.services import Service
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import OWNER, Deck

BOB = Identity(id="console:bob", name="bob")
APPROVED = Policy(guards=(Guard(id="two", can=("*",), ask=Ask.APPROVE),))


@pytest.fixture
def shop():
    """web and db run in the network and with the volume, an old container has the volume too."""
    made = FakeRuntime("prod-1", kind="docker", lacks=("pod.*", "node.*"))
    for name in ("web", "db", "old"):
        ref = made.add(name, labels={"team": "shop" if name == "web" else "core"}, start=name != "old")
        made.mounts[ref.id] = ("shop", "data")
    made.add_network("shop")
    made.add_network("idle")
    made.add_network("bridge")
    made.add_volume("data")
    made.add_volume("spare")
    made.add_image("nginx:1.27")
    made.add_image("twice:1", "twice:2")
    made.joined.add(("web", "shop"))
    return made


async def say(valkey, engine, line, who=OWNER, **options):
    async with Deck(valkey.url, [engine], **options) as deck:
        reply = await deck.say(line, who)
        return reply, plain_text.render(reply, width=300)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("network rm shop", "shop is used by db and web. Disconnect them from the network, or remove them."),
        ("network rm shop idle", "shop is used by db and web. Disconnect them from the network, or remove them."),
        ("network rm bridge", "bridge is built in and cannot be removed."),
        ("volume rm data", "data is used by db, old and web. Stop and remove them first."),
        (
            "rmi busybox:1",
            "busybox:1 is used by db, old and web. Stop and remove them first.",
        ),
    ],
)
async def test_what_is_in_use_is_refused_without_a_question(valkey, shop, line, text):
    reply, shown = await say(valkey, shop, line)
    assert (shown, reply.ending) == (f"Nothing was done: {text}", Ending.FAILED)
    assert not reply.buttons and "change" not in shop.asked


@pytest.mark.parametrize("line", ["network rm idle", "volume rm spare", "rmi nginx:1.27", "rmi twice:1", "rmi twice:2"])
async def test_what_is_not_in_use_is_asked_about(valkey, shop, line):
    reply, _ = await say(valkey, shop, line)
    assert reply.ending is Ending.ASKED


async def test_the_refusal_is_in_the_audit(valkey, shop):
    async with Deck(valkey.url, [shop]) as deck:
        await deck.say("volume rm data")
        await deck._dispatcher.flush_spool()
        (row,) = [one.fields for one in await deck.store.read_audit(count=9)]
        assert (row["phase"], row["verb"], row["rule"]) == ("refused", "volume.remove", "state")
        assert row["reason"].startswith("data is used by db, old and web.")


async def test_a_pattern_is_asked_about_without_what_is_in_use(valkey, shop):
    reply, shown = await say(valkey, shop, "volume rm '*a*'")
    assert reply.ending is Ending.ASKED
    assert shown.startswith("Remove the volume spare on prod-1?")
    assert "data is used by db, old and web and is left out. Stop and remove them first." in shown


async def test_a_container_on_which_others_depend_is_refused_on_podman_with_and_without_force(valkey):
    made = FakeRuntime("prod-1", kind="podman")
    base = made.add("base", start=False)
    for name in ("api", "web"):
        made.mounts[made.add(name).id] = (base.name,)
    _, shown = await say(valkey, made, "rm base")
    assert shown == "Nothing was done: base is used by api and web. Stop and remove them first."
    _, shown = await say(valkey, made, "rm -f base")
    assert shown == "Nothing was done: base is used by api and web. Stop and remove them first."
    _, shown = await say(valkey, made, "rm -f api base")
    assert shown == "Nothing was done: base is used by web. Stop and remove web first."
    reply, _ = await say(valkey, made, "rm -f api base web")
    assert reply.ending is Ending.ASKED
    reply, shown = await say(valkey, made, "rm -f 'ba*' 'a*'")
    assert reply.ending is Ending.ASKED
    assert "base is used by web and is left out." in shown
    grants = (Grant(id="g1", who=BOB.id, can=("container.*",), on=Selector(name="base")),)
    _, shown = await say(valkey, made, "rm base", BOB, policy=Policy(grants=grants))
    assert shown == "Nothing was done: base is used by 2 containers. Stop and remove them first."


async def test_an_image_on_which_others_are_built_is_refused_by_its_id_and_they_are_named(valkey, shop):
    base, child, hidden = shop.add_image("base:1"), shop.add_image("child:1"), shop.add_image("grand:1")
    shop.built_on[base.id] = (child, msgspec.structs.replace(hidden, id="sha256:" + "0" * 64))
    _, shown = await say(valkey, shop, f"rmi -f {base.id}")
    assert "is used by child:1 and 1 other image. Remove them first." in shown
    assert shown.startswith("Nothing was done: ")


async def test_docker_is_not_asked_who_depends_on_a_container(valkey):
    made = FakeRuntime("prod-1", kind="docker")
    base = made.add("base", start=False)
    made.mounts[made.add("web").id] = (base.name,)
    reply, _ = await say(valkey, made, "rm base")
    assert reply.ending is Ending.ASKED and "users" not in made.asked  # Docker removes it


async def test_force_removes_what_only_stopped_containers_use(valkey, shop):
    for ref in [row.ref for row in shop.containers.values() if row.ref.name != "old"]:
        del shop.containers[ref.id]
    reply, shown = await say(valkey, shop, "rmi busybox:1")
    assert "busybox:1 is used by old. Remove old first, or use: rmi -f busybox:1." in shown
    reply, _ = await say(valkey, shop, "rmi -f busybox:1")
    assert reply.ending is Ending.ASKED


async def test_the_names_of_containers_that_a_person_may_not_see_are_counted(valkey, shop):
    team = Selector(labels=(("team", "shop"),))
    grants = (
        Grant(id="g1", who=BOB.id, can=("container.list",), on=team),
        Grant(id="g2", who=BOB.id, can=("volume.*", "network.*", "image.*")),
    )
    _, shown = await say(valkey, shop, "volume rm data", BOB, policy=Policy(grants=grants))
    assert "data is used by web and 2 other containers. Stop and remove them first." in shown
    for ref in [row.ref for row in shop.containers.values() if row.ref.name != "db"]:
        del shop.containers[ref.id]
    _, shown = await say(valkey, shop, "network rm shop", BOB, policy=Policy(grants=grants))
    assert "shop is used by 1 container. Disconnect that container from the network, or remove that container." in shown


@pytest.mark.parametrize("how", ["refuses", "hangs", "is not allowed", "breaks"])
async def test_where_nothing_is_known_the_question_is_asked(valkey, shop, how, monkeypatch):
    monkeypatch.setattr("bot.dispatch.preflight_checks.LOOK_SECONDS", 0.05)
    real = shop._answer

    async def answer(what, seconds):
        if what == "users" and how == "refuses":
            raise errors.TimedOut("It did not answer.", sent=False)
        if what == "users" and how == "hangs":
            await asyncio.sleep(60)
        if what == "users" and how == "breaks":
            raise ValueError("a bug")
        await real(what, seconds)

    shop._answer = answer
    if how == "is not allowed":
        shop._allow = ("volume.*", "container.list", "container.inspect")
    reply, _ = await say(valkey, shop, "volume rm data")
    assert reply.ending is Ending.ASKED


async def test_several_removals_cost_one_request(valkey, shop):
    for number in range(5):
        shop.add_volume(f"more-{number}")
    await say(valkey, shop, "volume rm 'more-*'")
    assert shop.asked.count("users") == 1


@pytest.mark.parametrize(
    ("line", "ending", "text"),
    [
        (
            "rename web db",
            Ending.FAILED,
            "web is not renamed: the name db is taken on docker/prod-1. Choose another name.",
        ),
        (
            "create --name db nginx:1.27 --engine docker",
            Ending.FAILED,
            "db is taken on docker/prod-1. Choose another name.",
        ),
        (
            "run --name db nginx:1.27 --engine docker",
            Ending.FAILED,
            "db is taken on docker/prod-1. Choose another name.",
        ),
        ("network create shop --engine docker", Ending.FAILED, "shop is taken on docker/prod-1. Choose another name."),
        ("volume create data --engine docker", Ending.OK, "Nothing to do: data exists already."),
        ("network connect shop web", Ending.OK, "Nothing to do: web is connected to shop already."),
        ("network disconnect shop db", Ending.OK, "Nothing to do: db is not connected to shop."),
        ("tag twice:1 twice:2", Ending.OK, "Nothing to do: twice:1 is called twice:2 already."),
        ("exec old true", Ending.FAILED, "old is not running. Start it with: start old."),
        ("pause old", Ending.FAILED, "old is not running. Only what runs can be paused."),
        ("start web", Ending.OK, "Nothing to do: web is running already."),
        ("unpause web", Ending.OK, "Nothing to do: web is not paused."),
        ("stop old", Ending.OK, "Nothing to do: old is not running."),
    ],
)
async def test_what_is_certain_to_fail_or_to_change_nothing_bothers_no_approver(valkey, shop, line, ending, text):
    reply, shown = await say(valkey, shop, line, policy=APPROVED)
    assert reply.ending is ending and text in shown
    assert "change" not in shop.asked


@pytest.mark.parametrize(
    "line",
    [
        "rename web cart",
        "create --name cart nginx:1.27 --engine docker",
        "create nginx:1.27 --engine docker",
        "network create back --engine docker",
        "volume create more --engine docker",
        "network connect idle web",
        "network disconnect shop web",
        "tag twice:1 thrice:1",
        "exec web true",
        "pause web",
    ],
)
async def test_what_can_be_done_is_asked_about(valkey, shop, line):
    reply, shown = await say(valkey, shop, line, policy=APPROVED)
    assert reply.ending is Ending.ASKED, shown


async def test_nothing_is_looked_up_where_no_question_would_be_asked(valkey, shop):
    reply, _ = await say(valkey, shop, "network connect idle web")
    assert reply.ending is Ending.OK and "inspect" not in shop.asked


async def test_a_pod_names_what_runs_in_it(valkey):
    podman = FakeRuntime("prod-1", kind="podman")
    podman.add_pod("shop", *[podman.add(name) for name in ("front", "cart")])
    reply, shown = await say(valkey, podman, "pod rm shop")
    assert reply.ending is Ending.FAILED
    assert (
        "shop has the running containers cart and front. Stop the pod first, or remove it with: pod rm -f shop."
        in shown
    )
    reply, _ = await say(valkey, podman, "pod rm -f shop")
    assert reply.ending is Ending.ASKED


async def test_a_new_container_cannot_have_the_name_of_a_pod(valkey):
    podman = FakeRuntime("prod-1", kind="podman")
    podman.add_pod("shop", podman.add("front"))
    _, shown = await say(valkey, podman, "create --name shop nginx:1 --engine podman", policy=APPROVED)
    assert "shop is taken on podman/prod-1, as the name of a pod." in shown


async def test_a_service_that_was_never_updated_is_not_asked_about(valkey):
    swarm = FakeRuntime("c1", kind="swarm", lacks=("container.*", "image.*", "pod.*", "unit.*"))
    ref = Ref(engine=swarm.ref, kind=Kind.SERVICE, id="s1", name="web")
    swarm.swarm.append(Service(ref=ref, mode="replicated", image="nginx:1", running=1, desired=1, labels=({},)))
    reply, _ = await say(valkey, swarm, "service rollback web")
    assert reply.ending is Ending.ASKED
    swarm.never_updated.add("web")
    reply, shown = await say(valkey, swarm, "service rollback web")
    assert reply.ending is Ending.FAILED
    assert "web was not updated since it was created, so it cannot be rolled back. Update it instead:" in shown


@pytest.mark.parametrize(
    ("state", "ending"), [("inactive", Ending.ASKED), ("active", Ending.OK), ("locked", Ending.OK)]
)
async def test_an_engine_in_a_swarm_is_not_asked_about(valkey, shop, monkeypatch, state, ending):
    real = shop.run

    async def run(action, call):
        if isinstance(action, ShowInfo):
            return Document(ref=action.targets()[0], data={"Swarm": {"LocalNodeState": state}})
        return await real(action, call)

    monkeypatch.setattr(shop, "run", run)
    reply, shown = await say(valkey, shop, "swarm init --engine docker")
    assert reply.ending is ending
    assert (shown == "Nothing to do: docker/prod-1 is in a Swarm already.") == (ending is Ending.OK)
