"""The Compose file, by Docker Compose itself: up with images made here, looked at, and down without a trace.

Nothing is made before `up` but `.env`, as in the README.
"""

import json
import subprocess
import urllib.parse
from pathlib import Path

import pytest
import yaml

from tests.helpers.bot_process import get, series
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need
from tests.helpers.waiting import free_tcp_port, wait_for
from tests.image import stack
from tests.image.conftest import IMAGE, STORE

pytestmark = pytest.mark.timeout(600)

BOT_TOKEN, APP_TOKEN = "xoxb-1111111111-1111111111-abcdefabcdef", "xapp-1-A0000000000-1111111111-abcdefabcdef"
ALONE, MONITORING = {"bot", "relay", "redis", "prepare"}, {"prometheus", "alertmanager", "grafana"}
SERVICES = ("bot", "relay", "redis", "prometheus", "alertmanager")  # of the services that go on, all but Grafana
# Only what makes the test quicker.
QUICKER = """
services:
  bot: {healthcheck: {interval: 1s}}
  relay: {healthcheck: {interval: 1s}}
  redis: {healthcheck: {interval: 1s}}
  prometheus: {healthcheck: {interval: 1s}}
  alertmanager: {healthcheck: {interval: 1s}}
"""


class Project:
    def __init__(self, stage):
        self.stage, self.port = stage, free_tcp_port()
        self.ports = {name: free_tcp_port() for name in ("PROMETHEUS", "ALERTMANAGER", "GRAFANA")}
        self.env = {
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN,
            # What is different here: the engine is private, and no registry is reached.
            "DOCKER_SOCKET": str(stage.daemon.socket),
            "QUARTERDECK_IMAGE": IMAGE,
            "REDIS_IMAGE": STORE,
            "HAPROXY_IMAGE": stack.HAPROXY,
            "PROMETHEUS_IMAGE": stack.PROMETHEUS,
            "ALERTMANAGER_IMAGE": stack.ALERTMANAGER,
            "METRICS_PORT": str(self.port),
            "RUNBOOKS": "https://git.example.com/ops/quarterdeck/",
            **{f"{name}_PORT": str(port) for name, port in self.ports.items()},
        }

    def write(self):
        (self.stage.folder / ".env").write_text("".join(f"{key}={value}\n" for key, value in self.env.items()))
        (self.stage.folder / "quicker.yml").write_text(QUICKER)

    def compose(self, *words, code=0, say="", quicker=True):
        self.write()
        given = ["-f", "docker-compose.yml", *(("-f", "quicker.yml") if quicker else ())]
        return self.stage.docker("compose", *given, *words, code=code, seconds=180, say=say)

    def described(self, *words):
        return self.compose(*words, "config", "--format", "json", quicker=False)

    def up(self, *services, flags=()):
        # Named services are recreated without those that they depend on.
        self.compose("up", "-d", "--no-build", *flags, *services, *(("prepare",) if services else ()))
        names = services or ("bot", "relay", "redis")
        wait_for("health", lambda: all(self.health(name) == "healthy" for name in names), 90)
        wait_for("readiness of all but Slack", lambda: series(self.port, "quarterdeck_engine_up"))

    def health(self, service):
        return self.stage.health(f"quarterdeck-{service}-1")

    def say(self, *lines):
        words = ("exec", "-T", "bot", "quarterdeck", "console")
        return self.compose(*words, say="".join(f"{line}\n" for line in lines))

    def prometheus(self, query):
        """The values that Prometheus finds, by job."""
        asked = f"/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        found = json.loads(get(self.ports["PROMETHEUS"], asked)[1])["data"]["result"]
        return {one["metric"].get("job", ""): float(one["value"][1]) for one in found}


@pytest.fixture(scope="session")
def _images(_built):
    stack.add_images(_built.daemon)


@pytest.fixture
def project(stage, _images):
    try:
        version = stage.docker("compose", "version", "--short").strip().lstrip("v")
    except AssertionError:
        version = "0"
    if int(version.partition(".")[0]) < 2:
        need("docker", "docker compose 2")
    return Project(stage)


@pytest.mark.parametrize("profile", ["", "monitoring"])
def test_every_service_is_locked_up_and_only_ports_of_the_host_are_open(project, profile):
    text = project.described(*(("--profile", profile) if profile else ()))
    assert BOT_TOKEN not in text
    assert APP_TOKEN not in text
    services = json.loads(text)["services"]
    assert set(services) == ALONE | (MONITORING if profile else set())
    for name, service in services.items():
        assert service.get("read_only", False) is (name != "prepare"), name
        assert service["cap_drop"] == ["ALL"]
        assert not {"cap_add", "privileged", "pid", "ipc", "devices"} & service.keys()
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == ("no" if name == "prepare" else "unless-stopped")
        assert service["labels"] == {"quarterdeck.part": "true", "quarterdeck.protected": "true"}
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
        assert name in ("prepare", "bot") or "healthcheck" in service
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ()))
    mounts = {name: [volume["source"] for volume in service["volumes"]] for name, service in services.items()}
    with_socket = [name for name, sources in mounts.items() if project.env["DOCKER_SOCKET"] in sources]
    assert with_socket == ["relay"]
    assert sorted(mounts["relay"]) == sorted([project.env["DOCKER_SOCKET"], "engine"])
    for name in ("relay", "redis", "prepare"):
        assert services[name]["network_mode"] == "none"
    assert "user" not in services["bot"]
    assert "group_add" not in services["bot"]
    writable = [volume["source"] for volume in services["bot"]["volumes"] if not volume.get("read_only")]
    assert writable == ["state"]
    assert "/sys/fs/cgroup" in mounts["bot"]
    assert services["bot"]["build"]["args"]["BASE"].startswith("python:3")


def test_the_example_of_env_is_complete_and_without_tokens_there_is_a_console(project):
    example = (ROOT / ".env.example").read_text()
    project.env["SLACK_BOT_TOKEN"] = project.env["SLACK_APP_TOKEN"] = ""
    assert "SLACK_BOT_TOKEN=\nSLACK_APP_TOKEN=\n" in example
    bot = json.loads(project.described())["services"]["bot"]["environment"]
    assert not any(bot[key] for key in bot if "SLACK" in key)
    try:
        project.up()
        assert "slack    off" in project.compose("exec", "-T", "bot", "quarterdeck", "check")
        wait_for("readiness", lambda: get(project.port, "/readyz")[0] == 200)
    finally:
        project.compose("down", "-v", "-t", "15")


def test_what_grafana_is_given_points_to_the_services(project):
    services = json.loads(project.described("--profile", "monitoring"))["services"]
    provisioning = ROOT / "deploy/compose/grafana"
    sources = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (contact,) = yaml.safe_load((provisioning / "alerting/contact-points.yml").read_text())["contactPoints"]
    for url in (*(source["url"] for source in sources), contact["receivers"][0]["settings"]["url"]):
        host, _, port = url.removeprefix("http://").partition(":")
        assert int(port) in [each["target"] for each in services[host]["ports"]]
    (provider,) = yaml.safe_load((provisioning / "dashboards/quarterdeck.yml").read_text())["providers"]
    targets = {Path(volume["source"]).name: volume["target"] for volume in services["grafana"]["volumes"]}
    assert targets["dashboards"] == provider["options"]["path"]
    assert targets["grafana"] in ("/etc/grafana/provisioning", "/var/lib/grafana")


def test_up_works_is_protected_and_down_leaves_nothing(project):
    stage = project.stage
    stage.daemon.run("shop-redis", labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "redis"})
    stage.daemon.run("web")
    try:
        project.up(*SERVICES)
        # The bot has the tokens, and nobody else can read them.
        assert project.compose("exec", "-T", "bot", "python3", "-c", READ_TOKENS).split() == [BOT_TOKEN, APP_TOKEN]
        about = stage.docker("inspect", *stage.docker("ps", "-aq").split())
        assert BOT_TOKEN not in about
        assert APP_TOKEN not in about
        state = stage.inspect("quarterdeck-bot-1")["State"]
        status = Path(f"/proc/{state['Pid']}/status").read_text()
        facts = {name: words.split() for name, _, words in (line.partition(":") for line in status.splitlines())}
        assert (facts["Uid"], facts["Groups"], facts["CapEff"]) == (["10001"] * 4, ["10001"], ["0" * 16])
        assert stage.inspect("quarterdeck-prepare-1")["State"]["ExitCode"] == 0
        assert series(project.port, "quarterdeck_store_up") == 1

        # Only the kernel's files have these figures: the engine was not asked for the usage.
        usage = "quarterdeck_container_memory_limit_hits_total"
        wait_for("usage", lambda: series(project.port, usage, name="web") is not None)

        names = [f"quarterdeck-{service}-1" for service in SERVICES]
        said = project.say(*(f"stop {name}" for name in names), "kill shop-redis", "grant console:bob viewer")
        for name in names:
            assert f"{name} is part of Quarterdeck or marked as protected" in said
        assert stage.daemon.state("shop-redis")["Running"] is False

        # Prometheus reads the page and has the rules; Alertmanager's alerts arrive.
        wait_for("a scrape", lambda: project.prometheus("up == 1").keys() >= {"quarterdeck", "alertmanager"})
        rules = json.loads(get(project.ports["PROMETHEUS"], "/api/v1/rules")[1])["data"]["groups"]
        assert sum(len(group["rules"]) for group in rules) > 50
        configured = json.loads(get(project.ports["PROMETHEUS"], "/api/v1/status/config")[1])["data"]["yaml"]
        assert "runbooks: https://git.example.com/ops/quarterdeck/" in configured
        (engine,) = json.loads(stage.docker("info", "--format", '["{{.Name}}"]'))
        labels = (f"host={engine}", "engine=docker", "name=web", "severity=warning")
        alertmanager = f"--alertmanager.url=http://127.0.0.1:{project.ports['ALERTMANAGER']}"
        summary = "--annotation=summary=web uses 95% of its memory limit"
        command = ["amtool", alertmanager, "alert", "add", summary, "alertname=ContainerMemoryNearLimit", *labels]
        subprocess.run(command, check=True, capture_output=True, timeout=20)
        wait_for("the incident", lambda: "web uses 95%" in project.say("incidents"), pause=1)

        # A filter is a variable; everything that was stored is still there, and a new token arrives.
        project.env |= {"RELAY": "read-only", "SLACK_APP_TOKEN": f"{APP_TOKEN}x"}
        project.up(*SERVICES, flags=("--force-recreate",))
        assert project.compose("exec", "-T", "bot", "python3", "-c", READ_TOKENS).split()[1] != APP_TOKEN
        said = project.say("grants", "stop web", "logs quarterdeck-redis-1")
        assert "console:bob" in said
        assert "allows only requests that read" in said
        assert stage.daemon.state("web")["Running"] is True
        assert "Traceback" not in project.compose("logs", "bot")
        pids = [stage.inspect(name)["State"]["Pid"] for name in names]
    finally:
        project.compose("--profile", "monitoring", "down", "-v", "-t", "15")
    stage.daemon.clear()
    assert stage.docker("ps", "-aq") == ""
    assert stage.docker("volume", "ls", "-q") == ""
    assert set(stage.docker("network", "ls", "--format", "{{.Name}}").split()) == {"host", "none"}
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


READ_TOKENS = """
import pathlib
for name in ("slack_bot_token", "slack_app_token"):
    print(pathlib.Path("/run/tokens", name).read_text())
"""
