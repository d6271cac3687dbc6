"""A bot without a chat, a stand-in for Slack, a bot that speaks through it, and all engines at once; all end with their
test."""

import pytest

from tests.daemons.swarm import Cluster
from tests.helpers.bot_process import Bot, Deck
from tests.helpers.waiting import wait_for
from tests.standins.slack import client


@pytest.fixture
def bot(dockerd, short_tmp):
    made = Bot(short_tmp, dockerd.url)
    yield made
    made.stop()


@pytest.fixture
def slack(short_tmp):
    # A busy machine may hold the product for longer than the three seconds in which Slack wants to hear of it.
    with client.start(short_tmp, ack_seconds=15.0, patience_seconds=30.0) as made:
        yield made


@pytest.fixture
def deck(dockerd, short_tmp, slack):
    """Not yet running: `deck.up()`. At the end it is stopped and has to have behaved."""
    made = Deck(short_tmp, dockerd.url, slack)
    yield made
    made.close()


@pytest.fixture
def grounds(own_dockerd, podmand, rootless_podmand, containerdd, crid, ocid):
    """By the name its container goes by: each engine with one container, and a Swarm of the Docker daemon."""
    cluster = Cluster(own_dockerd)
    cluster.serve("api")
    found = {
        "docker": own_dockerd,
        "podman": podmand,
        "rootless": rootless_podmand,
        "containerd": containerdd,
        "cri": crid,
        "oci": ocid,
    }
    for name, daemon in found.items():
        daemon.run(f"web-{name}", f"echo hello from {name}; exec sleep 3600")
    wait_for("the task", lambda: cluster.states("api") == ["running"])
    return found
