"""The Swarm stack, deployed by docker on a Swarm of a manager and a worker: bot and watcher are locked up as the file
says, and protect themselves. Overlay networks cannot be had here, so their network is the machine's own."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.daemons.docker import IMAGE as BUSYBOX
from tests.daemons.docker import private_dockerd
from tests.helpers.bot_process import get, series
from tests.helpers.waiting import free_tcp_port, wait_for
from tests.image import stack
from tests.image.conftest import IMAGE

pytestmark = pytest.mark.timeout(600)

SECRETS = ("quarterdeck_slack_bot_token", "quarterdeck_slack_app_token")


@pytest.fixture
def swarm(stage):
    here = f"127.0.0.1:{free_tcp_port()}"
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
        wait_for("the tasks to end", lambda: stage.docker("ps", "-aq") == "", pause=0.2)
        stage.docker("swarm", "leave", "--force")


@pytest.fixture
def worker(swarm):
    """A second node, with the images of the first one."""
    token = swarm.docker("swarm", "join-token", "-q", "worker").strip()
    manager = json.loads(swarm.docker("info", "--format", "{{json .Swarm.RemoteManagers}}"))[0]["Addr"]
    with private_dockerd(host="w1") as daemon:
        save = ["docker", "--host", swarm.daemon.url, "save", IMAGE, stack.HAPROXY]
        load = ["docker", "--host", daemon.url, "load"]
        subprocess.run(f"{shlex.join(save)} | {shlex.join(load)}", shell=True, check=True, stdout=subprocess.DEVNULL)
        here = f"127.0.0.2:{free_tcp_port()}"
        daemon.api.join_swarm([manager], token, listen_addr=here, advertise_addr=here)
        yield daemon
        daemon.api.leave_swarm(force=True)


def stack_file(swarm, worker, ports):
    """The file with the sockets of these engines, and without the overlay network and the chat."""
    text = (swarm.folder / "deploy/swarm/stack.yml").read_text()
    document = json.loads(json.dumps(yaml.safe_load(text)))  # so that its services share no values
    host = {"external": True, "name": "host"}
    document["networks"] = {"quarterdeck": host, "relay": host}
    for name, service in document["services"].items():
        for volume in service["volumes"]:
            if volume.get("source") == "/var/run/docker.sock":
                volume["source"] = str((worker if name == "watcher-relay" else swarm.daemon).socket)
        if "environment" in service:
            listen = f"127.0.0.1:{ports[name]}"
            service["environment"] |= {"QUARTERDECK_SLACK": "off", "QUARTERDECK_METRICS__LISTEN": listen}
        service["healthcheck"] = service.get("healthcheck", {}) | {"interval": "1s"}
    file = swarm.folder / "deploy/swarm/stack-here.yml"  # beside the other one, because it names files
    file.write_text(yaml.safe_dump(document))
    return str(file.relative_to(swarm.folder))


class Node:
    """One node, as its own engine shows it."""

    def __init__(self, stage, daemon):
        self.stage, self.daemon = stage, daemon

    def docker(self, *words, **more):
        return self.stage.docker("--host", self.daemon.url, *words, **more)

    def task(self, service):
        """The only container of a service of the stack on this node, once it is there."""
        find = ("ps", "-q", "--filter", f"name=quarterdeck_{service}\\.")
        (container,) = wait_for(f"a task of {service}", lambda: self.docker(*find).split(), 90, pause=0.2)
        return container

    def inspect(self, container):
        return json.loads(self.docker("inspect", container))[0]

    def until_healthy(self, container):
        healthy = lambda: self.inspect(container)["State"]["Health"]["Status"] == "healthy"  # noqa: E731
        wait_for("health", healthy, 90)

    def is_locked_up(self, container):
        state = self.inspect(container)
        status = Path(f"/proc/{state['State']['Pid']}/status").read_text()
        facts = {name: words.split() for name, _, words in (line.partition(":") for line in status.splitlines())}
        assert (facts["Uid"], facts["Gid"], facts["CapEff"]) == (["10001"] * 4, ["10001"] * 4, ["0" * 16])
        assert state["HostConfig"]["ReadonlyRootfs"] is True
        assert str(self.daemon.socket) not in json.dumps(state["Mounts"])

    def talk(self, container, *lines):
        say = "".join(f"{line}\n" for line in lines)
        return self.docker("exec", "-i", container, "quarterdeck", "console", say=say)


def test_bot_and_watcher_of_the_stack_work_locked_up_and_do_not_end_themselves(swarm, worker):
    ports = {"bot": free_tcp_port(), "watcher": free_tcp_port()}
    file = stack_file(swarm, worker, ports)
    swarm.docker("stack", "deploy", "--resolve-image", "never", "-c", file, "quarterdeck")
    manager, second = Node(swarm, swarm.daemon), Node(swarm, worker)
    worker.run("side", "echo hello from the side; exec sleep 3600")
    bot, relay = manager.task("bot"), manager.task("relay")
    watcher, watcher_relay = second.task("watcher"), second.task("watcher-relay")
    for node, container, port in ((manager, bot, ports["bot"]), (second, watcher, ports["watcher"])):
        node.until_healthy(container)
        wait_for("readiness", lambda port=port: get(port, "/readyz")[0] == 200)
        node.is_locked_up(container)

    of_stack = [manager.inspect(one)["Name"].lstrip("/") for one in (bot, relay)]
    replicas = "quarterdeck_swarm_service_replicas_running"
    wait_for("the Swarm", lambda: series(ports["bot"], replicas, service="quarterdeck_bot"))
    lines = (*(f"stop {one}" for one in of_stack), "service rm quarterdeck_bot", "scale quarterdeck_relay=0")
    said = manager.talk(bot, *lines)
    assert said.count("is part of Quarterdeck") == len(lines), said
    services = json.loads(f"[{','.join(swarm.docker('service', 'ls', '--format', '{{json .}}').split())}]")
    parts = ("bot", "relay", "watcher", "watcher-relay")
    assert {row["Name"]: row["Replicas"] for row in services} == {f"quarterdeck_{part}": "1/1" for part in parts}
    # Its tokens are its own to read, and it is not the group's, which other containers may have.
    look = "import os, sys; print(oct(os.stat(sys.argv[1]).st_mode), open(sys.argv[1]).read())"
    secret = swarm.docker("exec", bot, "python3", "-c", look, f"/run/secrets/{SECRETS[0]}")
    assert secret.split() == ["0o100400", f"xoxb-{SECRETS[0]}"]

    # ── the watcher has its node's containers, their logs and their usage, and its relay lets only reading through ────
    state = {"name": "side", "state": "running", "host": "w1"}
    wait_for("the container", lambda: series(ports["watcher"], "quarterdeck_container_state", **state) == 1)
    assert series(ports["bot"], "quarterdeck_container_state", **state) is None
    usage = "quarterdeck_container_memory_limit_hits_total"  # only the kernel's files have it
    wait_for("its usage", lambda: series(ports["watcher"], usage, name="side") is not None)
    own = second.inspect(watcher_relay)["Name"].lstrip("/")
    said = second.talk(watcher, "logs side", "stop side", "exec side ls", "1", f"stop {own}")
    assert "hello from the side" in said
    assert said.count("allows only requests that read") == 2, said
    assert "is part of Quarterdeck" in said
    assert worker.state("side")["Running"] is True

    # ── the bot reads and changes what runs on the worker ─────────────────────────────────────────────────────────────
    words = ("--constraint", "node.role==worker", "--network", "host", "--no-resolve-image", "--detach")
    swarm.docker("service", "create", "--name", "shop", *words, BUSYBOX, "sh", "-c", "echo open; exec sleep 3600")
    running = lambda: len(second.docker("ps", "-q", "--filter", "name=shop\\.").split())  # noqa: E731
    wait_for("the service", lambda: running() == 1, pause=0.2)
    said = manager.talk(bot, "service logs shop", "service ps shop", "scale shop=2", "nodes")
    assert "open" in said, said
    assert "w1" in said, said
    wait_for("two of them", lambda: running() == 2, pause=0.2)
    manager.talk(bot, "drain w1", "1")
    wait_for("the worker to be empty", lambda: second.docker("ps", "--format", "{{.Names}}").split() == ["side"])
    assert get(ports["bot"], "/readyz")[0] == 200
    manager.talk(bot, "activate w1")
    second.until_healthy(second.task("watcher"))
    wait_for("the container", lambda: series(ports["watcher"], "quarterdeck_container_state", **state) == 1)
    for node, container in ((manager, bot), (second, second.task("watcher"))):
        assert "Traceback" not in node.docker("logs", container)
    swarm.docker("service", "rm", "shop")
