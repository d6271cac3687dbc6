"""The Swarm stack, as docker reads it. tests/image deploys it."""

import hashlib
import os
import subprocess

import yaml

from tests.helpers.paths import ROOT
from tests.helpers.requirements import need

STACK = ROOT / "deploy/swarm/stack.yml"
SOCKET = "/var/run/docker.sock"
LABELS = {"quarterdeck.protected": "true", "quarterdeck.part": "true"}


def config():
    need("docker", "docker")
    env = {"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nowhere"}
    done = subprocess.run(
        ["docker", "stack", "config", "-c", STACK], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    if "unknown" in done.stderr or "Usage:  docker stack" in done.stdout:
        need("docker", "docker stack config")
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_all_services_are_locked_up_and_nothing_is_published():
    services = config()["services"]
    assert set(services) == {"bot", "watcher", "relay", "watcher-relay"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
        # On the containers, and on the service.
        assert service["labels"] == service["deploy"]["labels"] == LABELS
        assert "ports" not in service


def test_only_the_relays_have_the_socket_and_no_number_of_a_group_must_be_known():
    stack = config()
    mounts = {
        name: {volume["source"]: volume.get("read_only", False) for volume in service["volumes"] if "source" in volume}
        for name, service in stack["services"].items()
    }
    for name in ("bot", "watcher"):
        assert mounts[name] == {"engine": True, "/sys/fs/cgroup": True, "state": False}
        assert "user" not in stack["services"][name]
        assert stack["services"][name]["environment"]["DOCKER_HOST"] == "unix:///run/engine/docker.sock"
    for name in ("relay", "watcher-relay"):
        assert mounts[name] == {SOCKET: False, "engine": False}
        assert stack["services"][name]["user"] == "0:10001"
        assert [*stack["services"][name]["networks"]] == ["relay"]
    assert stack["networks"]["relay"]["internal"] is True
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert stack["volumes"]["engine"]["driver_opts"] == compose["volumes"]["engine"]["driver_opts"]


def test_every_node_has_one_of_them_with_its_relay_and_only_the_bot_the_tokens():
    services = config()["services"]
    places = {name: service["deploy"]["placement"]["constraints"] for name, service in services.items()}
    assert places["bot"] == places["relay"] == ["node.role == manager"]
    assert places["watcher"] == places["watcher-relay"] == ["node.role == worker"]
    assert {services[name]["deploy"]["mode"] for name in ("watcher", "relay", "watcher-relay")} == {"global"}
    assert [name for name, service in services.items() if "secrets" in service] == ["bot"]
    assert {secret["mode"] for secret in services["bot"]["secrets"]} == {0o400}
    assert services["bot"]["deploy"]["update_config"]["order"] == "stop-first"


def test_a_worker_is_only_read_and_a_changed_filter_has_another_name():
    stack = config()
    for service, name in (("relay", "everything"), ("watcher-relay", "read-only")):
        (used,) = stack["services"][service]["configs"]
        found = stack["configs"][used["source"]]
        file = ROOT / f"deploy/compose/relay-{name}.cfg"
        assert found["file"] == str(file)
        assert found["name"].endswith(hashlib.sha256(file.read_bytes()).hexdigest()[:8])
