"""`scale` as people meet it: at the console with its progress, in Slack as one message that changes."""

import re

import pytest

from tests.daemons.docker import private_dockerd
from tests.daemons.swarm import Cluster
from tests.helpers.bot_process import ADA, Deck
from tests.helpers.waiting import wait_for


def replica(dockerd, number):
    labels = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": str(number),
    }
    return dockerd.run(f"shop-web-{number}", labels=labels)


def running(dockerd):
    return sorted(row["Names"][0][1:] for row in dockerd.api.containers())


def test_at_the_console(bot, dockerd):
    replica(dockerd, 1)
    assert re.search(r"shop/web +compose +1/1", bot.do("services"))
    said = bot.do("scale shop/web=3")
    assert "shop/web scaled from 1 to 3 in" in said
    assert running(dockerd) == ["shop-web-1", "shop-web-2", "shop-web-3"]
    assert len(re.findall(r"shop-web-\d +up · \d+[sm] +shop/web", bot.do("ps shop"))) == 3
    assert "This changes every container of docker/" in bot.do("restart shop/web -t 1", code=4)
    assert "3 restarted" in bot.do("restart shop/web -t 1", "--yes")
    asked = bot.do("scale web=0", code=4)
    assert "leaves nothing of shop/web running" in asked
    assert len(running(dockerd)) == 3
    bot.call("do", re.search(r'quarterdeck do "(confirm \w+)"', asked)[1])
    assert running(dockerd) == []
    assert "docker compose up" in bot.do("scale web=2", code=1)
    audit = bot.do("audit --limit 50")
    assert "scale shop/web=3" in audit and "scale web=0" in audit


def test_in_slack(deck, dockerd, slack):
    replica(dockerd, 1)
    deck.up()
    deck.deck("ada", "scale shop/web=3")
    shown = deck.last("bob", "scaled from 1 to 3")
    assert "3 of 3 run" not in shown["text"]
    # One message told that it began, how far it was and how it ended.
    assert [one["ts"] for one in deck.said("bob") if "shop/web" in one["text"]] == [shown["ts"]]
    assert running(dockerd) == ["shop-web-1", "shop-web-2", "shop-web-3"]
    deck.deck("ada", "scale web=0")
    asked = deck.last("ada", "leaves nothing of shop/web running")
    slack.click("ada", asked, asked["buttons"][0])
    wait_for("them to go", lambda: running(dockerd) == [])
    deck.last("bob", "scaled from 3 to 0")
    lines = [line for who, line, result in deck.audit("--who", ADA) if result == "done"]
    assert "scale shop/web=3" in lines


@pytest.fixture
def cluster():
    with private_dockerd() as daemon:
        made = Cluster(daemon)
        yield made
        made.clear()
        daemon.api.leave_swarm(force=True)


def test_a_swarms_service_at_the_console_and_in_slack(cluster, short_tmp, slack):
    cluster.serve("shop_web", labels={"com.docker.stack.namespace": "shop"})
    wait_for("the task", lambda: cluster.states("shop_web") == ["running"])
    deck = Deck(short_tmp, cluster.daemon.url, slack)
    try:
        # The daemon and its Swarm are two engines, also for one that only asks this once.
        listed = [line.split()[0] for line in deck.do("engines").splitlines()[1:]]
        assert [name.partition("/")[0] for name in listed] == ["docker", "swarm"]
        assert "shop_web scaled from 1 to 2 in" in deck.do("scale shop/web=2")
        assert cluster.states("shop_web") == ["running"] * 2
        deck.up()
        deck.deck("ada", "scale shop/web=3")
        deck.last("bob", "scaled from 2 to 3", seconds=60)
        assert cluster.states("shop_web") == ["running"] * 3
        deck.deck("ada", "scale web=1")
        asked = deck.last("ada", "ends tasks of shop_web")
        slack.click("ada", asked, asked["buttons"][0])
        deck.last("bob", "scaled from 3 to 1", seconds=60)
        wait_for("the others to go", lambda: cluster.states("shop_web") == ["running"])
    finally:
        deck.close()
