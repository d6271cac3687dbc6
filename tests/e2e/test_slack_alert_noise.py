"""What must not wake anybody: rolling updates, reloads, recreated containers, finished jobs, and hosts that shut down.

Each test ends with trouble that must be told, on the same bot: what was not told until then was not late.
"""

import signal
import time

import docker
import pytest

from tests.daemons.docker import IMAGE
from tests.daemons.swarm import Cluster
from tests.helpers.bot_process import Deck
from tests.helpers.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
OPS = "C0OPS"
SLOW_ENOUGH = 90
ALERTS = f"alerts: {{to: {OPS}}}\ngrants: [{{who: everyone, can: viewer}}]\n"


@pytest.fixture
def own_deck(own_dockerd, short_tmp, slack):
    """A bot on a daemon of its own, which the test may stop."""
    made = Deck(short_tmp, own_dockerd.url, slack)
    made.configure(ALERTS)
    yield made
    made.close()


def headlines(slack):
    """The first line of each message of its own in the channel."""
    return [
        call["args"]["text"].partition("\n")[0]
        for call in slack.calls("chat.postMessage")
        if call["args"].get("channel") == OPS and not call["args"].get("thread_ts")
    ]


def told(deck, slack, daemon):
    """Lets a container crash, and returns what was posted before its message and with it."""
    daemon.run("loud", "exit 3")
    deck.last("ada", "Firing: loud", seconds=SLOW_ENOUGH)
    return headlines(slack)


def test_a_rolling_update_of_a_swarm_is_no_alert(own_dockerd, own_deck, slack):
    cluster = Cluster(own_dockerd)
    service = cluster.serve("api", replicas=2, update=docker.types.UpdateConfig(parallelism=1, delay=0))
    wait_for("two tasks", lambda: cluster.states("api") == ["running"] * 2)
    own_deck.up()
    before = {task["ID"] for task in cluster.api.tasks({"service": "api"})}
    spec = cluster.api.inspect_service(service)
    template = spec["Spec"]["TaskTemplate"] | {"ForceUpdate": 1}
    cluster.api.update_service(
        service,
        spec["Version"]["Index"],
        task_template=template,
        name="api",
        mode=spec["Spec"]["Mode"],
        update_config=spec["Spec"].get("UpdateConfig"),
        endpoint_spec=spec["Spec"].get("EndpointSpec"),
    )

    def updated():
        tasks = [each for each in cluster.api.tasks({"service": "api"}) if each["Status"]["State"] == "running"]
        status = cluster.api.inspect_service(service).get("UpdateStatus", {}).get("State")
        return len(tasks) == 2 and not before & {task["ID"] for task in tasks} and status == "completed"

    wait_for("the update", updated, 90)
    assert told(own_deck, slack, own_dockerd)[:-1] == []


def test_a_shutdown_of_the_host_is_one_alert_about_its_engine_after_a_while(own_dockerd, own_deck, slack):
    for number in range(3):
        own_dockerd.run(f"web{number}", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    own_dockerd.run("stubborn", "trap : TERM; while :; do sleep 0.1; done")
    own_deck.up()
    wait_for("the containers", lambda: own_deck.series("mirror_containers") == 4)
    stopped = time.monotonic()
    own_dockerd.process.send_signal(signal.SIGTERM)
    own_dockerd.process.wait(120)
    own_deck.last("ada", "the engine is not watched", seconds=150)
    assert time.monotonic() - stopped > 30, "not before its `for`"
    (only,) = headlines(slack)
    assert "docker/" in only
    own_dockerd.start()
    own_deck.last("ada", "Resolved: docker/", seconds=SLOW_ENOUGH)
    before = told(own_deck, slack, own_dockerd)[:-1]
    assert all(line.startswith("Firing: docker/") for line in before), "nothing about a container"


def test_reloads_recreated_containers_and_finished_jobs_are_no_alert(deck, dockerd, slack):
    deck.configure(ALERTS)
    script = "trap 'exit 0' TERM; trap : HUP USR1; while :; do sleep 0.1; done"
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    old = dockerd.run("shop-web-1", script, labels=labels)
    deck.up()
    for name in ("HUP", "USR1"):
        dockerd.api.kill(old, name)
    # As `compose up -d` replaces a container: the new one has another name until the old one is gone.
    dockerd.api.rename(old, f"{old[:12]}_shop-web-1")
    new = dockerd.run("shop-web-1", script, start=False, labels=labels)
    dockerd.api.stop(old, timeout=5)
    dockerd.api.remove_container(old)
    dockerd.api.start(new)
    for number in range(3):  # a cron job, removed when it ends
        job = dockerd.api.create_container(
            IMAGE,
            ["/bin/sh", "-c", "exit 0"],
            name=f"job{number}",
            host_config=dockerd.api.create_host_config(auto_remove=True),
        )
        dockerd.api.start(job)
    wait_for("the jobs to end", lambda: not dockerd.api.containers(all=True, filters={"name": "job"}))
    assert told(deck, slack, dockerd)[:-1] == []
