"""The Swarm stack, as docker reads it. tests/image deploys it."""

import os
import subprocess

import yaml

from tests.helpers.paths import ROOT
from tests.helpers.requirements import need

STACK = ROOT / "deploy/swarm/stack.yml"


def config(**variables):
    need("docker", "docker")
    env = {"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nowhere", **variables}
    done = subprocess.run(
        ["docker", "stack", "config", "-c", STACK], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    if "unknown" in done.stderr or "Usage:  docker stack" in done.stdout:
        need("docker", "docker stack config")
    return done


def test_both_services_are_locked_up_and_nothing_is_published():
    services = yaml.safe_load(config(DOCKER_GID="998").stdout)["services"]
    assert set(services) == {"bot", "watcher"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == "10001:998"
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
        # On the containers, and on the service.
        assert service["labels"] == service["deploy"]["labels"] == {"quarterdeck.protected": "true"}
        assert "ports" not in service
        binds = {
            volume["source"]: volume.get("read_only", False) for volume in service["volumes"] if "source" in volume
        }
        assert binds == {"/var/run/docker.sock": False, "/sys/fs/cgroup": True, "state": False}


def test_every_node_has_one_of_them_and_only_the_bot_the_tokens():
    services = yaml.safe_load(config(DOCKER_GID="998").stdout)["services"]
    assert services["bot"]["deploy"]["placement"] == {"constraints": ["node.role == manager"]}
    assert services["watcher"]["deploy"]["placement"] == {"constraints": ["node.role == worker"]}
    assert services["watcher"]["deploy"]["mode"] == "global"
    assert "secrets" not in services["watcher"]
    assert {secret["mode"] for secret in services["bot"]["secrets"]} == {0o400}
    assert services["bot"]["deploy"]["update_config"]["order"] == "stop-first"


def test_without_the_group_of_the_socket_it_says_where_to_find_it():
    done = config()
    assert done.returncode != 0
    assert "comment at the top of this file" in done.stderr
    assert "DOCKER_GID=$(stat -c %g /var/run/docker.sock)" in STACK.read_text()
