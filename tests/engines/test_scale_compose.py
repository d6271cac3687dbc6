"""`scale` and `services` on a project that docker compose made: what compose says of it afterwards, and that it would
change nothing."""

import json
import re

import pytest

from bot import plain_text
from core.model.replies import Ending
from runtimes import engine_registry
from tests.daemons.compose import Project
from tests.helpers.deck import Deck
from tests.helpers.waiting import wait_for

SHOP = """
services:
  web:
    image: localhost/busybox:1
    command: ["/bin/sh", "-c", "exec sleep 3600"]
    init: true
    environment: {PASSWORD: "hunter2"}
    volumes: ["data:/data", "/scratch"]
    networks: {default: {aliases: [front]}, back: {}}
    healthcheck: {test: ["CMD", "true"], interval: 1s}
    labels: {env: dev}
  db:
    image: localhost/busybox:1
    command: ["/bin/sh", "-c", "exec sleep 3600"]
    init: true
    network_mode: none
networks: {back: {}}
volumes: {data: {}}
"""
BARE = """
services:
  one:
    image: localhost/busybox:1
    command: ["/bin/sh", "-c", "exec sleep 3600"]
    init: true
    network_mode: none
"""
DEAF = """
services:
  one:
    image: localhost/busybox:1
    command: ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    stop_grace_period: 1s
    network_mode: none
"""

pytestmark = pytest.mark.engine


@pytest.fixture
def shop(dockerd, short_tmp):
    project = Project(dockerd, short_tmp)
    yield project
    project.down()


@pytest.fixture
async def deck(valkey, dockerd):
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=dockerd.url))
    async with Deck(valkey.url, [engine], seconds=60) as made:
        yield made


async def told(deck, line, ending=Ending.OK):
    reply = await deck.say(line)
    if reply.ending is Ending.ASKED and ending is not Ending.ASKED:
        reply = await deck.say(reply.buttons[0].line)
    text = plain_text.render(reply)
    assert reply.ending is ending, text
    return text


async def test_up_and_down_as_compose_itself_would(deck, shop):
    shop.write(SHOP)
    shop.say("up", "-d", "--wait")
    before = shop.inspect("shop-web-1")
    assert "shop/web scaled from 1 to 3 in" in await told(deck, "scale shop/web=3")
    assert shop.ps() == {"shop-db-1": "running"} | {f"shop-web-{number}": "running" for number in (1, 2, 3)}
    # Compose sees its own work: nothing is made anew, nothing is removed.
    said = shop.say("up", "-d", "--scale", "web=3")
    assert "Creat" not in said and "Recreat" not in said and "Remov" not in said, said
    assert shop.inspect("shop-web-1")["Id"] == before["Id"]

    made = shop.inspect("shop-web-3")
    compared = {**before["Config"], "Hostname": "", "Labels": {}}
    assert {**made["Config"], "Hostname": "", "Labels": {}} == compared
    assert made["Config"]["Hostname"] == made["Id"][:12]
    labels = {**before["Config"]["Labels"], "com.docker.compose.container-number": "3"}
    assert made["Config"]["Labels"] == labels
    for network, aliases in (("shop_default", {"web", "front"}), ("shop_back", {"web"})):
        ours, theirs = (one["NetworkSettings"]["Networks"][network] for one in (made, before))
        assert aliases | {"shop-web-3"} <= set(ours["Aliases"])
        assert not {"shop-web-1", before["Id"][:12]} & set(ours["Aliases"])
        assert ours["IPAddress"] != theirs["IPAddress"] and ours["MacAddress"] != theirs["MacAddress"]
    volumes = [{mount["Destination"]: mount["Name"] for mount in one["Mounts"]} for one in (before, made)]
    assert volumes[0]["/data"] == volumes[1]["/data"] == "shop_data"
    assert volumes[0]["/scratch"] != volumes[1]["/scratch"]

    # The highest numbers go first, their anonymous volumes stay, and a gap is filled again.
    assert "shop/web scaled from 3 to 1" in await told(deck, "scale shop/web 1")
    assert shop.ps() == {"shop-db-1": "running", "shop-web-1": "running"}
    assert volumes[1]["/scratch"] in {one["Name"] for one in shop.daemon.api.volumes()["Volumes"]}
    assert "shop/web has 1 already" in await told(deck, "scale web=1")
    assert "scaled from 1 to 2" in await told(deck, "scale shop_web=2")
    assert sorted(shop.ps()) == ["shop-db-1", "shop-web-1", "shop-web-2"]


def named_with_services(listed):
    """The name and the service of each row of `ps`, below the line that counts them and the header."""
    return [[line.split()[0], re.search(r"shop/\w+", line)[0]] for line in listed.splitlines()[2:]]


async def test_replicas_that_had_to_be_killed_are_named(deck, shop):
    shop.write(DEAF)
    shop.say("up", "-d", "--scale", "one=3")
    text = await told(deck, "scale shop/one=1")
    assert re.search(r"from 3 to 1 in .*; 2 did not end in time and were killed: shop-one-2, shop-one-3", text), text


async def test_what_is_listed_and_what_names_mean(deck, shop):
    shop.write(SHOP)
    shop.say("up", "-d", "--wait", "--scale", "web=2")
    shop.say("run", "-d", "--no-deps", "--name", "once", "db", "sleep", "3600")
    text = await told(deck, "services")
    rows = [line.split() for line in text.splitlines()]
    assert ["shop/db", "compose", "1/1", "localhost/busybox:1"] in rows
    assert ["shop/web", "compose", "2/2", "localhost/busybox:1", "2", "healthy"] in rows
    # A project's name selects the same for a list and for a change: not the container of `docker compose run`.
    assert named_with_services(await told(deck, "ps once")) == [["once", "shop/db"]]
    assert named_with_services(await told(deck, "ps shop")) == [
        ["shop-db-1", "shop/db"],
        ["shop-web-1", "shop/web"],
        ["shop-web-2", "shop/web"],
    ]
    assert "2 stopped" in await told(deck, "stop shop/web -t 1")
    assert shop.ps()["shop-db-1"] == "running"
    # What `compose run` made is no replica of its service.
    assert "has 1 already" in await told(deck, "scale shop/db=1")
    assert shop.inspect("once")["State"]["Running"]
    assert "2 of them started again" in await told(deck, "scale web=2")
    asked = await deck.say("stop shop -t 1")
    assert asked.ending is Ending.OK  # three containers: one more and it would be asked
    shop.say("up", "-d", "--scale", "web=3")
    assert (await deck.say("stop shop -t 1")).ending is Ending.ASKED


async def test_to_nothing_asks_and_from_nothing_comes_back_as_it_was(deck, shop):
    shop.write(BARE)
    shop.say("up", "-d")
    before = shop.inspect("shop-one-1")
    asked = await deck.say("scale shop/one=0")
    assert asked.ending is Ending.ASKED
    assert "leaves nothing of shop/one running" in plain_text.render(asked)
    assert shop.ps() == {"shop-one-1": "running"}
    assert "to start it again: scale shop/one=1" in plain_text.render(await deck.say(asked.buttons[0].line))
    assert shop.ps() == {}
    assert "shop/one  compose  0/0" in re.sub(" {2,}", "  ", await told(deck, "services shop"))
    assert "shop/one scaled from 0 to 2" in await told(deck, "scale shop/one=2")
    assert shop.ps() == {"shop-one-1": "running", "shop-one-2": "running"}
    after = shop.inspect("shop-one-1")
    assert {**after["Config"], "Hostname": ""} == {**before["Config"], "Hostname": ""}
    # Compose sees nothing to do.
    said = shop.say("up", "-d", "--scale", "one=2")
    assert "Creat" not in said and "Recreat" not in said and "Remov" not in said, said
    shop.down()
    assert "docker compose up" in await told(deck, "scale shop/one=2", Ending.NOTHING)
    rows = await deck.store.read_audit(count=10)
    outcome = [row.fields for row in rows if row.fields["phase"] == "outcome"]
    assert [(one["verb"], one["target"].partition("@")[0], one["status"]) for one in outcome] == [
        ("service.scale", "shop/one", "done"),
        ("service.scale", "shop/one", "done"),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ports: ['127.0.0.1:18080:80']", "publishes 80/tcp on port 18080 of the host"),
        ("container_name: only", "its Compose file sets the container name only"),
    ],
)
async def test_what_only_one_container_can_have_is_refused_before_anything_is_made(deck, shop, line, why):
    text = BARE.replace("network_mode: none", line)
    shop.write(text)
    shop.say("create")
    text = await told(deck, "scale shop/one=2", Ending.FAILED)
    assert why in text and "Compose file" in text
    assert len(shop.ps()) == 1


async def test_one_that_does_not_stay_up_is_told_with_what_was_made(deck, shop):
    script = "mkdir /lock/here || exit 3; exec sleep 3600"
    volume = "init: true\n    volumes: ['lock:/lock']"
    shop.write(BARE.replace("exec sleep 3600", script).replace("init: true", volume) + "volumes: {lock: {}}\n")
    shop.say("up", "-d")
    wait_for("the first", lambda: shop.ps() == {"shop-one-1": "running"})
    text = await told(deck, "scale shop/one=2 --timeout 20", Ending.FAILED)
    assert "created shop-one-2, then shop-one-2 ended with code 3" in text
    assert sorted(shop.ps()) == ["shop-one-1", "shop-one-2"]
    rows = json.loads(plain_text.to_json(await deck.say("audit --limit 1")))["blocks"][0]["rows"]
    assert "failed" in str(rows[-1])
