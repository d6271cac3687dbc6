"""One rule for names: what a list shows for a name is what a change of that name acts on, or refuses as ambiguous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot import plain_text
from core import errors
from core.model.containers import Container, Containers
from core.model.events import Event, EventKind, EventList, Origin
from core.model.pods import Pod, Pods
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending, Table
from core.model.resource_usage import Usage, Usages
from core.model.services import Service, Services
from core.model.swarm import Node, Nodes
from core.model.units import Unit, Units
from core.ports import Query
from runtimes.inventory import fleet
from tests.unit.commands.conftest import HOST7, HOST8, NOW, World, container


@dataclass
class MatchingFinder:
    """A Finder over rows of every kind, as the bot has one."""

    rows: Sequence[Any]
    asked: list[Query] = field(default_factory=list)

    async def find(self, query: Query) -> Sequence[Ref]:
        listing = fleet.FleetRows(rows=[row for row in self.rows if row.ref.kind is query.kind])
        return [row.ref for row in fleet.resolve(query, listing, lambda _: True)]

    def engines(self, query: Query) -> Sequence[EngineRef]:
        return list(dict.fromkeys(row.ref.engine for row in self.rows))


def compose(name: str, number: int, group: str, engine: EngineRef = HOST7, **labels: str) -> Container:
    project, _, service = group.partition("/")
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": service} | labels
    return container(name, number, engine, labels=labels)


CONTAINERS = (
    container("web", 0x11),
    container("web-2", 0x12),
    container("Web", 0x13),
    container("db", 0xDB),
    container("db", 0xDC, HOST8),
    compose("shop-api-1", 0x21, "shop/api"),
    compose("shop-api-2", 0x22, "shop/api"),
    compose("shop-cart-1", 0x23, "shop/cart"),
    compose("shop-api-run-1", 0x24, "shop/api", **{"com.docker.compose.oneoff": "True"}),
    compose("shopkeeper", 0x25, "tools/keeper"),
    compose("redis-redis-1", 0x31, "redis/redis"),
    compose("cache-redis-1", 0x32, "cache/redis", HOST8),
)


def world_of(words, rows, listed) -> World:
    world = World(words, CONTAINERS)
    world.find = MatchingFinder(rows)
    world.rows_of = lambda action: listed([row for row in rows if row.ref.engine == action.engine])
    return world


@pytest.fixture
def world(words) -> World:
    return world_of(words, CONTAINERS, lambda rows: Containers(rows=tuple(rows)))


def names(reply) -> list[str]:
    (table,) = [block for block in reply.blocks if isinstance(block, Table)] or [Table(columns=("NAME",), rows=())]
    on = table.columns.index("HOST") if "HOST" in table.columns else None
    return sorted(f"{row[0]}@{row[on]}" if on else str(row[0]) for row in table.rows)


AMBIGUOUS, UNKNOWN = "ambiguous", "unknown"


@pytest.mark.parametrize(
    ("name", "listed", "refused"),
    [
        # The exact name before the beginning of another.
        ("web", ["web@host7"], None),
        ("web-", ["web-2@host7"], None),
        ("we", ["web-2@host7", "web@host7"], AMBIGUOUS),
        # Upper and lower case differ.
        ("Web", ["Web@host7"], None),
        ("WEB", [], UNKNOWN),
        ("WEB-2", [], UNKNOWN),
        # On two engines.
        ("db", ["db@host7", "db@host8"], AMBIGUOUS),
        ("db@host8", ["db@host8"], None),
        ("db@docker/host8", ["db@host8"], None),
        ("db@host9", [], UNKNOWN),
        ("db#dcdc", ["db@host8"], None),
        ("#dcdc", ["db@host8"], None),
        # The beginning of an id.
        ("dbdb", ["db@host7"], None),
        ("1212121212", ["web-2@host7"], None),
        ("121", [], UNKNOWN),
        # A project, without the container of `docker compose run` and without what only begins like it.
        ("shop", ["shop-api-1@host7", "shop-api-2@host7", "shop-cart-1@host7"], None),
        ("shop/", ["shop-api-1@host7", "shop-api-2@host7", "shop-cart-1@host7"], None),
        ("shop/api", ["shop-api-1@host7", "shop-api-2@host7"], None),
        ("shop_api", ["shop-api-1@host7", "shop-api-2@host7"], None),
        ("api", ["shop-api-1@host7", "shop-api-2@host7"], None),
        ("shop-api-run-1", ["shop-api-run-1@host7"], None),
        ("shopk", ["shopkeeper@host7"], None),
        # A project and another project's service.
        ("redis", ["cache-redis-1@host8", "redis-redis-1@host7"], AMBIGUOUS),
        ("redis/", ["redis-redis-1@host7"], None),
        ("cache/redis", ["cache-redis-1@host8"], None),
        # Globs.
        ("web*", ["web-2@host7", "web@host7"], None),
        ("shop-*", ["shop-api-1@host7", "shop-api-2@host7", "shop-api-run-1@host7", "shop-cart-1@host7"], None),
        ("shop/*", ["shop-api-1@host7", "shop-api-2@host7", "shop-cart-1@host7"], None),
        ("*/redis", ["cache-redis-1@host8", "redis-redis-1@host7"], None),
        ("d*@host8", ["db@host8"], None),
        ("nothing*", [], UNKNOWN),
        ("wbe-2", [], UNKNOWN),
        # Everything on one engine: too much for a change.
        ("@host8", ["cache-redis-1@host8", "db@host8"], UNKNOWN),
    ],
)
async def test_ps_lists_what_restart_restarts_or_finds_ambiguous(world, name, listed, refused):
    reply = await world.say(f"ps -a '{name}'")
    assert names(reply) == listed
    if refused is None:
        restarted = [f"{action.target.name}@{action.engine.host}" for action in await world.plan(f"restart '{name}'")]
        assert sorted(restarted) == listed
        return
    with pytest.raises(errors.Ambiguous if refused == AMBIGUOUS else errors.NotFound) as caught:
        await world.plan(f"restart '{name}'")
    if listed:
        assert reply.ending is Ending.OK
    else:
        # Both suggest the same.
        assert plain_text.render(reply) == caught.value.full_message()
        assert reply.ending is Ending.NOTHING


async def test_labels_choose_before_names_do(world):
    line = "--label com.docker.compose.service=api 'shop-'"
    assert names(await world.say(f"ps {line}")) == ["shop-api-1@host7", "shop-api-2@host7", "shop-api-run-1@host7"]
    line = "--label com.docker.compose.service=cart 'shop-'"
    assert names(await world.say(f"ps {line}")) == ["shop-cart-1@host7"]
    assert [action.target.name for action in await world.plan(f"restart {line}")] == ["shop-cart-1"]


async def test_stats_and_events_show_all_that_an_ambiguous_name_fits(world):
    plan = await world.plan("stats we")
    assert [action.only for action in plan] == [("11" * 32, "12" * 32)]
    reply = await world.say("stats we", lambda _: Usages(rows=tuple(Usage(ref=row.ref) for row in CONTAINERS[:2])))
    assert names(reply) == ["web", "web-2"]
    with pytest.raises(errors.NotFound, match=r"“wbe-2”\. Did you mean web-2"):
        await world.plan("stats wbe-2")


def event(kind: Kind, name: str, thing: str = "", engine: EngineRef = HOST7) -> Event:
    ref = Ref(engine=engine, kind=kind, id=thing or name, name=name)
    at_ns = int(NOW.timestamp()) * 1_000_000_000
    return Event(
        at_ns=at_ns, kind=EventKind.STARTED, subject=ref, origin=Origin.LIVE, type=str(kind), action="start", attrs={}
    )


HISTORY = (
    *(event(Kind.CONTAINER, row.ref.name, row.ref.id, row.ref.engine) for row in CONTAINERS),
    event(Kind.CONTAINER, "web", "ee" * 32),  # an earlier one of this name
    event(Kind.CONTAINER, "shop-api-1", "ef" * 32),
    event(Kind.CONTAINER, "old-1", "a1" * 32),
    event(Kind.CONTAINER, "old-10", "a2" * 32),
    event(Kind.NETWORK, "shop_default"),
    event(Kind.SERVICE, "web-front"),
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("web", ["web", "web", "web-front"]),
        ("web#1111", ["web"]),
        ("11111111", ["web"]),
        ("we", ["web", "web", "web-2", "web-front"]),
        ("web-2", ["web-2"]),
        ("'web*'", ["web", "web", "web-2", "web-front"]),
        ("shop", ["shop-api-1", "shop-api-1", "shop-api-2", "shop-cart-1", "shop_default"]),
        ("shop_default", ["shop_default"]),
        # Removed containers, by what their events say.
        ("old-1", ["old-1"]),
        ("old", ["old-1", "old-10"]),
        ("'old*'", ["old-1", "old-10"]),
        ("old@host8", []),
        ("a2a2", ["old-10"]),
        ("web-2 old-10", ["old-10", "web-2"]),
    ],
)
async def test_events_shows_what_a_name_selects_now_and_what_it_selected_before(world, name, found):
    reply = await world.say(
        f"events {name} --all --since 30d",
        lambda action: EventList(rows=tuple(one for one in HISTORY if one.subject.engine == action.engine)),
    )
    (table,) = [block for block in reply.blocks if isinstance(block, Table)]
    assert sorted(row[2] for row in table.rows) == found


def service(name: str, engine: EngineRef = HOST7) -> Service:
    project, _, own = name.partition("/")
    ref = Ref(engine=engine, kind=Kind.SERVICE, id=name, name=name)
    return Service(ref=ref, mode="compose", image="i", running=1, desired=1, labels=({},), project=project, service=own)


SERVICES = (service("shop/web"), service("shop/api"), service("blog/web"), service("redis/redis"), service("redis/x"))


@pytest.mark.parametrize(
    ("name", "listed", "scaled"),
    [
        ("shop/web", ["shop/web"], True),
        ("shop_web", ["shop/web"], True),
        ("api", ["shop/api"], True),
        ("ap", ["shop/api"], True),
        ("web", ["blog/web", "shop/web"], False),
        ("shop/", ["shop/api", "shop/web"], False),
        ("shop", ["shop/api", "shop/web"], False),
        ("redis", ["redis/redis"], True),
        ("redis/", ["redis/redis", "redis/x"], False),
        ("shop/*", ["shop/api", "shop/web"], True),
        ("nothing", [], False),
    ],
)
async def test_services_lists_what_scale_scales_or_refuses(words, name, listed, scaled):
    world = world_of(words, SERVICES, lambda rows: Services(rows=tuple(rows)))
    reply = await world.say(f"services '{name}'")
    assert names(reply) == listed
    if scaled:
        plan = await world.plan(f"scale '{name}=2'")
        assert sorted(action.target.name for action in plan) == listed
        return
    with pytest.raises((errors.Ambiguous, errors.NotFound)) as caught:
        await world.plan(f"scale '{name}=2'")
    if not listed:
        assert plain_text.render(reply) == caught.value.full_message()


def node(name: str, thing: str) -> Node:
    ref = Ref(engine=HOST7, kind=Kind.NODE, id=thing, name=name)
    return Node(ref=ref, state="ready", availability="active", role="worker", address="10.0.0.1")


def pod(name: str, number: int, namespace: str = "") -> Pod:
    ref = Ref(engine=HOST7, kind=Kind.POD, id=f"{number:02x}" * 32, name=name)
    return Pod(ref=ref, state="running", created_at=0.0, labels={}, namespace=namespace)


def unit(name: str) -> Unit:
    ref = Ref(engine=HOST7, kind=Kind.UNIT, id=name, name=name)
    return Unit(ref=ref, active="active", sub="running")


@pytest.mark.parametrize(
    ("rows", "values", "line", "change", "listed"),
    [
        ((node("worker", "n1"), node("worker-2", "n2")), Nodes, "nodes worker", "drain worker", ["worker"]),
        ((node("worker-1", "n1"), node("worker-2", "n2")), Nodes, "nodes work", None, ["worker-1", "worker-2"]),
        ((unit("web.service"), unit("web-db.service")), Units, "units web", "unit stop web", ["web.service"]),
        ((pod("web", 1, "shop"), pod("web-2", 2, "shop")), Pods, "pods shop/web", None, ["web"]),
        ((pod("web", 1, "shop"), pod("web", 2, "blog")), Pods, "pods web", None, ["web", "web"]),
    ],
)
async def test_every_other_list_follows_the_rule(words, rows, values, line, change, listed):
    world = world_of(words, rows, lambda listed: values(rows=tuple(listed)))
    assert names(await world.say(line)) == listed
    if change:
        assert [action.target.name for action in await world.plan(change)] == listed
