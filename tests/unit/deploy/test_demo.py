"""The demo's parts that need no engine. tests/e2e/test_demo.py runs it."""

import os
import socket
import subprocess
import sys

import docker
import pytest
import requests
import urllib3
import yaml

from bot.parsing import parser
from commands.catalogue import load_catalogue
from core.config import load
from deploy.demo import __main__ as demo
from deploy.demo import engine as demo_engine
from deploy.demo import programs as demo_programs
from deploy.demo import summary, workloads
from deploy.demo.demo_error import DemoError
from deploy.demo.folder import Folder, Leftovers
from deploy.demo.programs import DemoPrograms

PORTS = {"quarterdeck": 9108, "prometheus": 9090, "alertmanager": 9093}


class Api:
    """An engine that ignores filters, as one of an unknown version might."""

    def __init__(self, *rows):
        self.rows, self.removed = list(rows), []

    def containers(self, **_):
        return self.rows

    def remove_container(self, name, **_):
        self.removed.append(name)

    def remove_image(self, name, **_):
        self.removed.append(name)


@pytest.fixture
def engine():
    found = demo_engine.DemoEngine("unix:///nowhere.sock", "docker", version="1.41")
    found.close()
    return found


def test_only_what_this_users_demo_made_is_removed(engine):
    own = {demo_engine.LABEL: str(os.getuid())}
    engine.api = Api(
        {"Id": "own", "Labels": own},
        {"Id": "of another user", "Labels": {demo_engine.LABEL: "99999"}},
        {"Id": "named alike", "Labels": {"com.docker.compose.project": "quarterdeck-demo"}},
        {"Id": "unlabelled", "Labels": None},
    )
    assert engine.remove_everything(["docker.io/library/busybox:stable"]) == 1
    assert engine.api.removed == ["own", demo_engine.IMAGE, "docker.io/library/busybox:stable"]


def test_a_reason_is_what_the_system_said_and_not_what_libraries_wrap_around_it():
    aborted = urllib3.exceptions.ProtocolError("Connection aborted.", PermissionError(13, "Permission denied"))
    refused = requests.ConnectionError(aborted)
    wrapped = docker.errors.DockerException(f"Error while fetching server API version: {refused}")
    wrapped.__cause__ = refused
    assert demo_engine.reason_of(wrapped) == "Permission denied"
    assert demo_engine.reason_of(docker.errors.APIError("500", explanation="no space\non device")) == "no space"
    assert demo_engine.reason_of(ValueError("one.")) == "one"


def test_one_demo_at_a_time(tmp_path):
    folder = Folder(tmp_path / "demo")
    with folder.in_use():
        with (
            pytest.raises(DemoError, match=rf"running already \(process {os.getpid()}\)"),
            Folder(folder.path).in_use(),
        ):
            pass
    with folder.in_use():
        pass


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"engine": "unix:///x"}', '{"engine": "unix:///x", "pulled": 3}'])
def test_traces_are_remembered_and_damaged_ones_are_none(tmp_path, damage):
    folder, leftovers = Folder(tmp_path), Leftovers(engine="unix:///run/docker.sock", pulled_images=["busybox:1"])
    folder.remember(leftovers)
    assert folder.leftovers == Leftovers(engine="unix:///run/docker.sock", pulled_images=("busybox:1",))
    (tmp_path / "traces.json").write_text(damage)
    assert folder.leftovers is None


def test_the_configuration_of_its_quarterdeck_is_valid(tmp_path, engine, monkeypatch):
    servers = DemoPrograms(folder=tmp_path, ports=PORTS)
    monkeypatch.setattr(DemoPrograms, "_run", lambda *_: None)
    servers.start_quarterdeck(engine)
    settings = load.load(tmp_path / "quarterdeck.yaml", {"QUARTERDECK_SLACK": "off"})
    assert str(settings.metrics.listen) == "127.0.0.1:9108"
    assert settings.state == tmp_path / "state"
    assert (tmp_path / "quarterdeck.yaml").stat().st_mode & 0o077 == 0


def test_prometheus_gets_the_rules_of_the_chart_and_nothing_listens_beyond_loopback(tmp_path):
    servers = DemoPrograms(folder=tmp_path, ports=PORTS)
    files = servers.prometheus_files()
    assert {f"rules/{path.name}" for path in demo_programs.RULES.glob("*.y*ml")} < files.keys()
    assert next(iter(files)) == "prometheus.yml"
    for name in ("prometheus", "alertmanager"):
        words = servers._arguments(name, "/etc/x.yml", "/data")
        assert f"--web.listen-address=127.0.0.1:{PORTS[name]}" in words
    receiver = yaml.safe_load(servers.alertmanager_files()["alertmanager.yml"])["receivers"][0]["webhook_configs"][0]
    assert receiver["http_config"]["authorization"]["credentials"] == servers.token


def test_a_port_that_is_taken_is_replaced_by_a_free_one(monkeypatch):
    assert len(set(demo_programs.free_ports().values())) == 3
    with socket.create_server(("127.0.0.1", 0)) as door:
        monkeypatch.setattr(demo_programs, "USUAL_PORTS", {"quarterdeck": door.getsockname()[1]})
        assert demo_programs.free_ports()["quarterdeck"] != door.getsockname()[1]


def test_a_port_that_is_lost_to_another_program_is_replaced_and_another_problem_is_not(tmp_path, engine, monkeypatch):
    monkeypatch.setattr(demo_programs, "needed_images", lambda: [])
    monkeypatch.setattr(engine, "make_image", lambda: True)
    monkeypatch.setattr(engine, "run_sample", lambda _: None)
    engine.api = Api()
    servers, folder, tried = DemoPrograms(folder=tmp_path, ports=demo_programs.free_ports()), Folder(tmp_path), []

    def start(_, them):
        tried.append(them.ports["quarterdeck"])
        if tried.count(tried[0]) == len(tried):
            raise DemoError("the port is in use")

    monkeypatch.setattr(demo, "_start_servers", start)
    with pytest.raises(DemoError, match="in use"):
        demo._start(folder, engine, servers)
    assert len(tried) == 1  # the port is free, so that was not the reason
    with socket.create_server(("127.0.0.1", tried[0])):
        demo._start(folder, engine, servers)
    assert len(tried) == 3
    assert tried[2] != tried[0]


def test_an_answer_of_another_program_at_the_port_does_not_count(tmp_path, engine, monkeypatch):
    monkeypatch.setattr(demo_programs, "_answers", lambda _: True)
    with socket.create_server(("127.0.0.1", 0)) as door:
        servers = DemoPrograms(folder=tmp_path, ports={"prometheus": door.getsockname()[1]})
        servers._run("prometheus", [sys.executable, "-c", "raise SystemExit('in use')"], {})
        with pytest.raises(DemoError, match="prometheus has ended with code 1"):
            servers.wait_until_ready(engine, "prometheus", "/-/ready")
        servers.stop()
    port = demo_programs.free_ports()["prometheus"]
    servers.ports = {"prometheus": port}
    script = f"import socket, time; door = socket.create_server(('127.0.0.1', {port})); time.sleep(3600)"
    servers._run("prometheus", [sys.executable, "-c", script], {})
    try:
        servers.wait_until_ready(engine, "prometheus", "/-/ready")
        assert servers.running["prometheus"].poll() is None
    finally:
        servers.stop()


def test_settings_of_another_quarterdeck_do_not_reach_it(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("QUARTERDECK_STORE__URL", "redis://other")
    demo_programs.without_own_settings()
    assert not {"SLACK_BOT_TOKEN", "QUARTERDECK_STORE__URL"} & os.environ.keys()


def test_a_program_that_ends_is_reported_with_its_last_words(tmp_path):
    servers = DemoPrograms(folder=tmp_path, ports=PORTS)
    servers.log("prometheus").write_text("\n".join(f"line {number}" for number in range(20)))
    servers.running["prometheus"] = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    servers.running["prometheus"].wait()
    with pytest.raises(DemoError, match=r"prometheus has ended with code 3(.|\n)*line 15(.|\n)*line 19"):
        servers.check()


def test_a_server_in_a_container_that_is_not_reached_says_what_to_install(tmp_path, engine, monkeypatch):
    monkeypatch.setattr(demo_programs, "START_SECONDS", 0)
    monkeypatch.setattr(demo_programs, "_answers", lambda _: False)
    monkeypatch.setattr(engine, "logs", lambda _: "level=info listening")
    with pytest.raises(DemoError, match=r"install prometheus and alertmanager(.|\n)*level=info listening"):
        DemoPrograms(folder=tmp_path, ports=PORTS).wait_until_ready(engine, "prometheus", "/-/ready")


def test_a_closed_terminal_does_not_keep_it_from_cleaning_up(tmp_path, engine, monkeypatch):
    class Closed:
        def write(self, _):
            raise OSError(5, "Input/output error")

        flush = write

    engine.api = Api({"Id": "own", "Labels": {demo_engine.LABEL: str(os.getuid())}})
    engine.api.close = lambda: None
    folder = Folder(tmp_path / "demo")
    folder.path.mkdir()
    monkeypatch.setattr(sys, "stdout", Closed())
    demo._clean_up(folder, engine, DemoPrograms(folder=folder.path, ports=PORTS))
    assert "own" in engine.api.removed
    assert not folder.path.exists()


def test_an_end_while_it_looks_for_an_engine_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(demo.signal, "signal", lambda *_: None)

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_engine, "find_engine", interrupted)
    assert demo.main() == 0
    assert list(tmp_path.iterdir()) == []


def test_health_is_checked_by_the_demo_on_podman_alone_and_trouble_does_not_end_it(engine):
    asked = []

    class Session(Api):
        base_url = "http+docker://localhost"

        def get(self, url, **_):
            asked.append(url)
            raise requests.ConnectionError("it has just ended")

    engine.api = Session()
    engine.check_health(workloads.WORKLOADS)
    assert asked == []
    engine.kind = "podman"
    engine.check_health(workloads.WORKLOADS)
    assert asked == ["http+docker://localhost/v4.0.0/libpod/containers/quarterdeck-demo-worker-1/healthcheck"]


def test_what_it_prints_names_every_container_address_and_query(tmp_path, engine):
    text = summary.summary(engine, DemoPrograms(folder=tmp_path, ports=PORTS), usage=True)
    for word in (*(one.name for one in workloads.WORKLOADS), *(query for _, query in summary.QUERIES), ":9108/metrics"):
        assert word in text
    assert str(tmp_path) in text
    text = summary.summary(engine, DemoPrograms(folder=tmp_path, ports=PORTS), usage=False)
    assert "memory limits have no effect" in text
    assert "_memory_" not in text
    assert "\n  stats\n" not in text


@pytest.mark.parametrize(
    ("about", "measured"),
    [
        ({"SecurityOptions": ["name=seccomp", "name=rootless"], "CgroupVersion": "1"}, False),  # Docker
        ({"SecurityOptions": ["name=rootless"], "CgroupVersion": "2"}, True),
        ({"Rootless": True, "SecurityOptions": None, "CgroupVersion": "v1"}, False),  # Podman
        ({"Rootless": False, "SecurityOptions": None, "CgroupVersion": "v1"}, True),
    ],
)
def test_usage_is_not_measured_without_root_and_with_cgroup_v1(engine, about, measured):
    class Informed(Api):
        def info(self):
            return about

    engine.api = Informed()
    assert engine.measures_usage() is measured


def test_each_sample_has_a_bound_and_a_name_of_the_demo():
    assert len({one.name for one in workloads.WORKLOADS}) == len(workloads.WORKLOADS)
    for one in workloads.WORKLOADS:
        assert one.name.startswith("quarterdeck-demo-")
        assert one.memory_mb <= 32


@pytest.mark.parametrize("line", summary.COMMANDS)
def test_each_command_to_try_is_one(line):
    assert parser.parse(line, load_catalogue()).command is not None
