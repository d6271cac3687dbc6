"""The Swarm stack, deployed by docker on a Swarm of one node: the bot runs as locked up as the file says, and protects
itself. Overlay networks cannot be had here, so its network is the node's own."""

import json
from pathlib import Path

import pytest
import yaml

from tests.helpers.bot_process import free_port, get, series
from tests.helpers.waiting import wait_for
from tests.image import stack
from tests.image.conftest import IMAGE

pytestmark = pytest.mark.timeout(600)

SECRETS = ("quarterdeck_slack_bot_token", "quarterdeck_slack_app_token")


@pytest.fixture
def swarm(stage):
    here = f"127.0.0.1:{free_port()}"
    stage.docker("swarm", "init", "--advertise-addr", here, "--listen-addr", here)
    stack.add_images(stage.daemon)
    stage.env |= {"HAPROXY_IMAGE": stack.HAPROXY, "QUARTERDECK_IMAGE": IMAGE}
    try:
        for name in SECRETS:
            stage.docker("secret", "create", name, "-", say=f"xoxb-{name}")
        yield stage
    finally:
        del stage.env["HAPROXY_IMAGE"], stage.env["QUARTERDECK_IMAGE"]
        stage.docker("stack", "rm", "quarterdeck")
        wait_for("the tasks to end", lambda: stage.docker("ps", "-aq") == "", 60, pause=0.2)
        stage.docker("swarm", "leave", "--force")


def stack_file(stage, port):
    """The file with this engine's socket, and without the overlay network and the chat."""
    document = yaml.safe_load((stage.folder / "deploy/swarm/stack.yml").read_text())
    host = {"external": True, "name": "host"}
    document["networks"] = {"quarterdeck": host, "relay": host}
    for service in document["services"].values():
        for volume in service["volumes"]:
            if volume.get("source") == "/var/run/docker.sock":
                volume["source"] = str(stage.daemon.socket)
        if "environment" in service:
            service["environment"] |= {"QUARTERDECK_SLACK": "off", "QUARTERDECK_METRICS__LISTEN": f"127.0.0.1:{port}"}
        service["healthcheck"] = service.get("healthcheck", {}) | {"interval": "1s"}
    file = stage.folder / "deploy/swarm/stack-here.yml"  # beside the other one, because it names files
    file.write_text(yaml.safe_dump(document))
    return str(file.relative_to(stage.folder))


def test_the_bot_of_the_stack_works_locked_up_and_does_not_end_itself(swarm):
    port = free_port()
    swarm.docker("stack", "deploy", "--resolve-image", "never", "-c", stack_file(swarm, port), "quarterdeck")
    tasks = lambda name: swarm.docker("ps", "-q", "--filter", f"name=quarterdeck_{name}\\.").split()  # noqa: E731
    (container,) = wait_for("the task", lambda: tasks("bot"), 90, pause=0.2)
    (relay,) = wait_for("its relay", lambda: tasks("relay"), 90, pause=0.2)
    wait_for("health", lambda: swarm.health(container) == "healthy", 90)
    wait_for("readiness", lambda: get(port, "/readyz")[0] == 200, 60)
    state = swarm.inspect(container)
    status = Path(f"/proc/{state['State']['Pid']}/status").read_text()
    facts = {name: words.split() for name, _, words in (line.partition(":") for line in status.splitlines())}
    assert (facts["Uid"], facts["Gid"], facts["CapEff"]) == (["10001"] * 4, ["10001"] * 4, ["0" * 16])
    assert state["HostConfig"]["ReadonlyRootfs"] is True
    assert str(swarm.daemon.socket) not in json.dumps(state["Mounts"])
    name = state["Name"].lstrip("/")
    wait_for("the Swarm", lambda: series(port, "quarterdeck_swarm_service_replicas_running", service="quarterdeck_bot"))
    own = swarm.inspect(relay)["Name"].lstrip("/")
    lines = (f"stop {name}", f"stop {own}", "service rm quarterdeck_bot", "scale quarterdeck_relay=0")
    said = swarm.talk(container, "services", *lines)
    assert "quarterdeck_watcher" in said
    assert said.count("is part of Quarterdeck") == len(lines), said
    services = json.loads(f"[{','.join(swarm.docker('service', 'ls', '--format', '{{json .}}').split())}]")
    assert {row["Name"]: row["Replicas"] for row in services} == {
        "quarterdeck_bot": "1/1",
        "quarterdeck_relay": "1/1",
        "quarterdeck_watcher": "0/0",
        "quarterdeck_watcher-relay": "0/0",
    }
    # Its tokens are its own to read, and it is not the group's, which other containers may have.
    look = "import os, sys; print(oct(os.stat(sys.argv[1]).st_mode), open(sys.argv[1]).read())"
    secret = swarm.docker("exec", container, "python3", "-c", look, f"/run/secrets/{SECRETS[0]}")
    assert secret.split() == ["0o100400", f"xoxb-{SECRETS[0]}"]
