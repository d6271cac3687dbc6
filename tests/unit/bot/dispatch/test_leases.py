"""Changes that touch the same things exclude each other, whatever their targets are called."""

import asyncio

import pytest

from bot import plain_text
from bot.dispatch import change_record
from core.model import actions
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending
from core.model.services import Service
from runtimes.compose import scale
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(scale, "MIN_UPTIME", 0.0)


class Slow(FakeRuntime):
    """A change of a container, and the creation of a replica, waits for `gate`; `waiting` is set when one does."""

    def __init__(self, *words, **more):
        super().__init__(*words, **more)
        self.gate, self.waiting = asyncio.Event(), asyncio.Event()

    async def _answer(self, what, seconds):
        await super()._answer(what, seconds)
        if what == "change":
            self.waiting.set()
            await self.gate.wait()


def replica(engine, number, service="web"):
    compose = {"project": "shop", "service": service, "container-number": str(number)}
    return engine.add(f"shop-{service}-{number}", labels={f"com.docker.compose.{key}": v for key, v in compose.items()})


@pytest.fixture
def docker():
    made = Slow("h1", kind="docker", lacks=("pod.*", "node.*", "unit.*"))
    for number in (1, 2):
        replica(made, number)
    replica(made, 1, "db")
    return made


@pytest.fixture
def podman():
    made = Slow("h1", kind="podman", lacks=("node.*", "service.*"))
    web = made.add("web")
    made.add("other")
    made.add_pod("shop", web)
    made.add_unit(web)
    return made


async def both(valkey, engine, first, second, ending=Ending.REFUSED):
    """Gives the second command while the first one runs, both confirmed, and returns what it replied. It is refused
    while the first one runs, or it runs, too."""
    async with Deck(valkey.url, [engine]) as deck:

        async def confirmed(line):
            reply = await deck.say(line)
            return await deck.say(reply.buttons[0].line) if reply.ending is Ending.ASKED else reply

        running = asyncio.create_task(confirmed(first))
        await engine.waiting.wait()
        later = asyncio.create_task(confirmed(second))
        done, _ = await asyncio.wait([later], timeout=60.0 if ending is Ending.REFUSED else 1.0)
        engine.gate.set()
        reply = await later
        text = plain_text.render(reply)
        assert reply.ending is ending, text
        assert bool(done) == (ending is Ending.REFUSED)
        assert (await running).ending is Ending.OK
        return text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("scale shop/web=3", "restart shop"),
        ("scale shop/web=3", "restart shop/web"),
        ("scale shop/web=3", "stop shop-web-1"),
        ("scale shop/web=1", "rm -f shop-web-2"),
        ("scale shop/web=1", "restart shop-web-1"),
        ("restart shop", "scale shop/web=3"),
        ("restart shop-web-1", "scale shop/web=1"),
        ("stop shop-web-2", "scale shop/web=3"),
        ("scale shop/web=3", "scale web=1"),
    ],
)
async def test_scaling_a_service_and_changing_its_containers_exclude_each_other(valkey, docker, first, second):
    assert "has not finished" in await both(valkey, docker, first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("unit stop web", "restart web"),
        ("restart web", "unit restart web"),
        ("unit stop web", "rm -f web"),
        ("unit install web", "stop web"),
        ("pause web", "unit stop web"),
    ],
)
async def test_a_unit_and_its_container_exclude_each_other(valkey, podman, first, second):
    assert "has not finished" in await both(valkey, podman, first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("scale shop/web=3", "restart shop/db"),
        ("restart shop/db", "scale shop/web=1"),
        ("stop shop-web-1", "stop shop-web-2"),
    ],
)
async def test_what_is_apart_runs_side_by_side(valkey, docker, first, second):
    await both(valkey, docker, first, second, Ending.OK)


async def test_what_scaling_creates_meanwhile_is_not_changed_either(valkey, docker):
    async with Deck(valkey.url, [docker]) as deck:
        running = asyncio.create_task(deck.say("scale shop/web=4"))
        await docker.waiting.wait()
        replica(docker, 3)
        busy = await deck.say("restart shop-web-3")
        text = plain_text.render(busy)
        assert busy.ending is Ending.REFUSED and "alice started service.scale on shop/web" in text
        docker.gate.set()
        assert (await running).ending is Ending.OK
        assert (await deck.say("restart shop-web-3")).ending is Ending.OK


async def test_a_busy_part_is_not_named_to_who_may_not_see_it(valkey, docker):
    text = await both(valkey, docker, "restart shop-web-1", "scale shop/web=1")
    assert "alice started container.restart on a part of shop/web" in text


async def test_a_tasks_container_and_its_service_in_the_swarm_exclude_each_other(valkey):
    docker = Slow("h1", kind="docker", lacks=("pod.*", "node.*", "unit.*", "service.*"))
    swarm = Slow("c1", kind="swarm", lacks=("container.*", "image.*", "pod.*", "unit.*"))
    ref = Ref(engine=swarm.ref, kind=Kind.SERVICE, id="f" * 25, name="mail_smtp")
    labels = {"com.docker.swarm.service.id": ref.id, "com.docker.swarm.service.name": "mail_smtp"}
    docker.add("mail_smtp.1", labels=labels)
    docker.add("other")
    swarm.swarm.append(
        Service(ref=ref, mode="replicated", image="i", running=1, desired=1, labels=({},), service="mail_smtp")
    )
    pairs = (("restart mail_smtp.1", docker, "scale mail_smtp=2"), ("scale mail_smtp=3", swarm, "restart mail_smtp.1"))
    async with Deck(valkey.url, [docker, swarm]) as deck:
        for first, slow, second in pairs:
            running = asyncio.create_task(deck.say(first))
            await slow.waiting.wait()
            assert (await deck.say(second)).ending is Ending.REFUSED
            slow.gate.set()
            assert (await running).ending is Ending.OK
            assert (await deck.say("restart other")).ending is Ending.OK


def test_keys_carry_the_kind_and_a_swarm_has_one_name():
    engine = EngineRef(host="h1", kind="docker")
    swarms = [EngineRef(host=host, kind="swarm") for host in ("a", "b")]

    def keys(kind, one):
        ref = Ref(engine=one, kind=kind, id="web", name="web")
        action = actions.Stop(engine=one, target=ref)
        return [change_record._key(held) for held in change_record._held(action)]

    found = [keys(kind, engine) for kind in (Kind.CONTAINER, Kind.POD, Kind.UNIT, Kind.SERVICE, Kind.NODE)]
    assert len(set(map(tuple, found))) == 5
    assert found[0] == ["container:docker/h1/web"]
    assert keys(Kind.SERVICE, swarms[0]) == keys(Kind.SERVICE, swarms[1])
