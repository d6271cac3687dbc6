"""`project restart` on a project that docker compose made: what is restarted in which order, and what compose says of
it afterwards."""

import re

import pytest

from bot import plain_text
from core.model.replies import Ending
from runtimes import engine_registry
from tests.daemons.compose import Project
from tests.helpers.deck import Deck

pytestmark = pytest.mark.engine

SHOP = """
services:
  db:
    image: localhost/busybox:1
    command: ["/bin/sh", "-c", "rm -f /ok; sleep 1; touch /ok; exec sleep 3600"]
    network_mode: none
    stop_grace_period: 1s
    healthcheck: {test: ["CMD", "/bin/sh", "-c", "test -f /ok"], interval: 500ms, timeout: 60s, retries: 100}
  migrate:
    image: localhost/busybox:1
    command: ["/bin/sh", "-c", "exit 0"]
    network_mode: none
    depends_on: {db: {condition: service_healthy}}
  api:
    image: localhost/busybox:1
    command: ["/bin/sh", "-c", "exec sleep 3600"]
    network_mode: none
    stop_grace_period: 1s
    depends_on: {db: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}
  proxy:
    image: localhost/busybox:1
    command: ["/bin/sh", "-c", "exec sleep 3600"]
    network_mode: none
    stop_grace_period: 1s
    depends_on: [api]
"""


@pytest.fixture
def shop(dockerd, short_tmp):
    made = Project(dockerd, short_tmp)
    yield made
    made.down()


@pytest.fixture
async def deck(valkey, dockerd):
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=dockerd.url))
    async with Deck(valkey.url, [engine], seconds=60.0) as made:
        yield made


async def restarted(deck, ending=Ending.OK):
    asked = await deck.say("project restart shop")
    assert asked.ending is Ending.ASKED and "Restart the project shop on" in plain_text.render(asked)
    reply = await deck.say(asked.buttons[0].line)
    assert reply.ending is ending, plain_text.render(reply)
    return plain_text.render(reply, width=300)


async def test_each_service_comes_after_those_that_it_depends_on(deck, shop):
    shop.write(SHOP)
    shop.say("up", "-d", "--wait", "db")
    shop.say("up", "-d")
    before = {name: shop.inspect(f"shop-{name}-1")["State"]["StartedAt"] for name in ("db", "migrate", "api", "proxy")}
    shown = await restarted(deck)
    assert re.search(
        r"shop restarted in [\d.]+ s, in this order: db, api, proxy;.* left as they are, because they do not run:"
        r" shop-migrate-1\.",
        shown,
    ), shown
    after = {name: shop.inspect(f"shop-{name}-1")["State"]["StartedAt"] for name in before}
    assert after["migrate"] == before["migrate"]
    assert before["proxy"] < after["db"] < after["api"] < after["proxy"]
    assert shop.inspect("shop-db-1")["State"]["Health"]["Status"] == "healthy"
    rows = await deck.store.read_audit(count=20)
    ended = [row.fields for row in rows if row.fields["phase"] == "outcome"]
    assert [(row["verb"], row["status"]) for row in ended] == [("project.restart", "done")]


async def test_a_dependency_that_does_not_come_up_ends_it_and_is_named(deck, shop):
    shop.write(SHOP)
    shop.say("up", "-d", "--wait", "db")
    shop.say("up", "-d")
    shop.daemon.api.stop("shop-db-1", timeout=1)
    started = shop.inspect("shop-api-1")["State"]["StartedAt"]
    shown = await restarted(deck, Ending.FAILED)
    assert (
        "api depends on db, which does not run. Nothing was restarted. Start that service first: start shop/db" in shown
    )
    assert shop.inspect("shop-api-1")["State"]["StartedAt"] == started


async def test_a_project_on_podman_is_restarted_in_order_too(valkey, podmand):
    """Its containers carry the labels that docker compose writes on Podman's Docker-like socket."""
    for service, needed in (("ordered-web", "ordered-db:service_started:false"), ("ordered-db", "")):
        labels = {"com.docker.compose.project": "ordered", "com.docker.compose.service": service}
        podmand.run(service, labels=labels | {"com.docker.compose.depends_on": needed}, more=("--stop-timeout", "1"))
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="podman", url=podmand.url))
    async with Deck(valkey.url, [engine], seconds=60.0) as deck:
        before = await deck.say("inspect ordered-db -f '{{.State.StartedAt}}'")
        asked = await deck.say("project restart ordered")
        assert asked.ending is Ending.ASKED, plain_text.render(asked)
        reply = await deck.say(asked.buttons[0].line)
        assert "in this order: ordered-db, ordered-web" in plain_text.render(reply, width=200)
        assert reply.ending is Ending.OK
        after = await deck.say("inspect ordered-db -f '{{.State.StartedAt}}'")
        assert plain_text.render(before) != plain_text.render(after)
