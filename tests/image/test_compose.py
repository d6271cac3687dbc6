"""The compose file, by Docker Compose itself: up with images made here, looked at, and down without a trace."""

import json
from pathlib import Path

import pytest

from tests.helpers.bot_process import free_port, get, series
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for
from tests.image.conftest import IMAGE, STORE

pytestmark = pytest.mark.timeout(600)

PASSWORD = "c0ffee" * 8
# Only what makes the test quicker, and the label off, so that the store is known by its place in the project alone.
QUICKER = """
services:
  bot: {healthcheck: {interval: 1s}}
  redis: {healthcheck: {interval: 1s}, labels: {quarterdeck.protected: "false"}}
"""


class Project:
    def __init__(self, stage):
        self.stage, self.port = stage, free_port()
        self.env = {
            "DOCKER_GID": str(stage.socket_group),
            "DOCKER_SOCKET": str(stage.daemon.socket),
            "QUARTERDECK_IMAGE": IMAGE,
            "REDIS_IMAGE": STORE,
            "METRICS_PORT": str(self.port),
        }
        self.secret("store_url", f"redis://:{PASSWORD}@redis:6379/0")

    def secret(self, name, text):
        file = self.stage.folder / "secrets" / name
        file.write_text(text)
        file.chmod(0o644)
        return f"./secrets/{name}"

    def write(self):
        (self.stage.folder / ".env").write_text("".join(f"{key}={value}\n" for key, value in self.env.items()))
        (self.stage.folder / "quicker.yml").write_text(QUICKER)

    def compose(self, *words, code=0, files=("docker-compose.yml",), say=""):
        self.write()
        given = [word for file in files for word in ("-f", file)]
        return self.stage.docker("compose", *given, *words, code=code, seconds=120, say=say)

    def described(self):
        return json.loads(self.compose("config", "--format", "json"))


@pytest.fixture
def project(stage):
    try:
        version = stage.docker("compose", "version", "--short").strip().lstrip("v")
    except AssertionError:
        version = "0"
    if int(version.partition(".")[0]) < 2:
        need("docker", "docker compose 2")
    return Project(stage)


def test_both_services_are_locked_up_and_the_store_is_not_published(project):
    services = project.described()["services"]
    assert set(services) == {"bot", "redis"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"
        assert service["labels"] == {"quarterdeck.protected": "true"}
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
        assert PASSWORD not in json.dumps(service)
    assert "ports" not in services["redis"]
    assert [port["host_ip"] for port in services["bot"]["ports"]] == ["127.0.0.1"]
    assert services["bot"]["group_add"] == [project.env["DOCKER_GID"]]
    assert services["bot"]["build"]["args"]["BASE"].startswith("python:3")
    assert services["bot"]["depends_on"]["redis"]["condition"] == "service_healthy"


def test_without_the_group_of_the_socket_it_says_how_to_find_it(project):
    del project.env["DOCKER_GID"]
    assert "stat -c %g" in project.compose("config", "-q", code=None)


def test_slack_is_a_matter_of_two_files(project):
    bot = project.described()["services"]["bot"]["environment"]
    assert not any(bot[key] for key in bot if "SLACK" in key)
    project.env["SLACK_BOT_TOKEN_FILE"] = project.secret("slack_bot_token", "xoxb-1111111111-1111111111-abcdefabcdef")
    project.env["SLACK_APP_TOKEN_FILE"] = project.secret(
        "slack_app_token", "xapp-1-A0000000000-1111111111-abcdefabcdef"
    )
    project.env["QUARTERDECK_YAML"] = "./quarterdeck.yaml"
    (project.stage.folder / "quarterdeck.yaml").write_text("slack: {command: /ship}\n")
    try:
        said = project.compose("run", "--rm", "--no-deps", "-T", "bot", "check")
    finally:
        project.compose("down", "-v")
    assert "socket, /ship" in said
    assert "your own" in said


def test_up_works_is_protected_and_down_leaves_nothing(project):
    stage, files = project.stage, ("docker-compose.yml", "quicker.yml")
    stage.daemon.run("shop-redis", labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "redis"})
    stage.daemon.run("vault", labels={"quarterdeck.protected": "true"})
    try:
        project.compose("up", "-d", "--no-build", "--wait", "--wait-timeout", "90", files=files)
        assert {stage.health(f"quarterdeck-{name}-1") for name in ("bot", "redis")} == {"healthy"}
        wait_for("readiness", lambda: get(project.port, "/readyz")[0] == 200)
        assert series(project.port, "quarterdeck_store_up") == 1

        def say(*lines):
            words = ("exec", "-T", "bot", "quarterdeck", "console")
            return project.compose(*words, files=files, say="".join(f"{line}\n" for line in lines))

        bot, redis = "quarterdeck-bot-1", "quarterdeck-redis-1"
        said = say("ps", f"stop {bot}", f"stop {redis}", "stop vault", "kill shop-redis", "grant console:bob viewer")
        for name in (bot, redis, "vault"):
            assert f"{name} is part of Quarterdeck or marked as protected" in said
        assert stage.daemon.state("shop-redis")["Running"] is False
        assert stage.daemon.state(redis)["Running"] is True
        assert PASSWORD not in stage.docker("top", "quarterdeck-redis-1", "-o", "pid,args")
        assert PASSWORD not in stage.docker("inspect", "quarterdeck-redis-1", "quarterdeck-bot-1")
        assert "NOAUTH" in project.compose(
            "exec", "-T", "redis", "sh", "-c", "$(command -v valkey-cli || command -v redis-cli) ping", files=files
        )
        # A store made anew is another container: it is known by its place, and its volume by its name.
        project.compose("up", "-d", "--no-build", "--wait", "--force-recreate", files=files)
        said = say("grants", f"rm -f {redis}")
        assert "console:bob" in said
        assert "is part of Quarterdeck" in said
        assert "Traceback" not in project.compose("logs", "bot", files=files)
        pids = [stage.inspect(f"quarterdeck-{name}-1")["State"]["Pid"] for name in ("bot", "redis")]
    finally:
        project.compose("down", "-v", "-t", "15", files=files)
    stage.daemon.clear()
    assert stage.docker("ps", "-aq") == ""
    assert stage.docker("volume", "ls", "-q") == ""
    assert set(stage.docker("network", "ls", "--format", "{{.Name}}").split()) == {"host", "none"}
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
