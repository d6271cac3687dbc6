"""`make demo` on a real engine with a real Prometheus and Alertmanager: what it shows, and that it leaves nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from deploy.demo import programs, summary, workloads
from deploy.demo.engine import IMAGE
from tests.daemons.prometheus import Prometheus
from tests.helpers.paths import ROOT
from tests.helpers.private_root import processes_of
from tests.helpers.requirements import need
from tests.helpers.waiting import wait_for
from tests.image import rootfs

SLOW_ENOUGH = 120  # seconds until each query has an answer, on a busy machine
pytestmark = pytest.mark.timeout(900)


class Demo:
    """One run of it, as `make demo` starts it."""

    def __init__(self, root, daemon, path, number):
        self.log = root / f"demo-{number}.log"
        env = {"PATH": path, "HOME": str(root), "DOCKER_HOST": daemon.url, "XDG_CACHE_HOME": str(root / "cache")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.demo"],
                cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def text(self):
        return self.log.read_text()

    def until_shown(self):
        def shown():
            assert self.process.poll() is None, self.text()
            return "Ctrl-C ends the demo" in self.text()

        wait_for("the demo", shown, 180, pause=0.1)
        return dict(re.findall(r"^  (metrics|Prometheus|Alertmanager) +(http\S+)$", self.text(), re.MULTILINE))

    def interrupt(self):
        """Ctrl-C, which a terminal sends to every process of it."""
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(120) == 0, self.text()
        assert "and all files of the demo" in self.text()
        assert "Traceback" not in self.text()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def demo(dockerd, short_tmp):
    """Starts it; several times one after the other."""
    started = []

    def start(path=os.environ["PATH"]):
        started.append(Demo(short_tmp, dockerd, path, len(started)))
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_it_shows_what_it_says_and_removes_all_of_it_also_after_a_kill(demo, dockerd, short_tmp):
    need("promtool", "prometheus", "busybox")
    need("alertmanager", "prometheus-alertmanager", "amtool")
    dockerd.run("bystander", labels={"com.docker.compose.project": workloads.PROJECT})
    before = dockerd.names_of_images()

    killed = demo()
    killed.until_shown()
    killed.process.kill()
    killed.process.wait()
    wait_for("its servers to end with it", lambda: not processes_of(short_tmp / "cache"))
    left = {name.lstrip("/") for row in dockerd.api.containers(all=True) for name in row["Names"]}
    assert {one.name for one in workloads.WORKLOADS} < left

    running = demo()
    running.until_shown()
    assert f"Removed {len(workloads.WORKLOADS)} containers of an earlier demo." in running.text()
    assert "A demo is running already" in _refused(demo)
    shows_what_it_says(running, {"api": "crashed", "cache": "out_of_memory", "job": "finished", "queue": "killed"})
    running.interrupt()
    assert [row["Names"] for row in dockerd.api.containers(all=True)] == [["/bystander"]]
    assert dockerd.state("bystander")["Running"] is True
    assert dockerd.names_of_images() == before
    assert not (short_tmp / "cache/quarterdeck-demo").exists()
    wait_for("its servers to end", lambda: not processes_of(short_tmp / "cache"))


def test_on_podman_with_and_without_root_it_shows_the_same_and_leaves_nothing(podmand, rootless_podmand, short_tmp):
    """Two at once. Health too, although there is no systemd here, whose timers Podman needs for that."""
    need("promtool", "prometheus", "busybox")
    need("alertmanager", "prometheus-alertmanager", "amtool")
    engines = (podmand, rootless_podmand)
    demos, before = [], []
    try:
        for podman in engines:
            folder = short_tmp / f"of-{podman.uid}"
            folder.mkdir()
            podman.run("bystander")
            before.append(podman.cli("images", "-q", "--no-trunc"))
            demos.append(Demo(folder, podman, os.environ["PATH"], "podman"))
        for podman, running, images in zip(engines, demos, before, strict=True):
            running.until_shown()
            assert f"Quarterdeck watches podman at {podman.url}" in running.text()
            # Podman does not report who sent a signal.
            shows_what_it_says(running, {"api": "crashed", "job": "finished", "queue": "unknown"})
            running.interrupt()
            assert podman.cli("ps", "-a", "--format", "{{.Names}}") == "bystander"
            assert podman.status("bystander") == "running"
            assert podman.cli("images", "-q", "--no-trunc") == images
    finally:
        for running in demos:
            running.end()
        for podman in engines:
            podman.clear()
            podman.cli("rmi", "-f", IMAGE, check=False)


def shows_what_it_says(demo, causes):
    """Each query that it prints has an answer, samples end for these causes, alerts of both fire, and each command that
    it prints is answered at the console that it prints."""
    text = demo.text()
    addresses = demo.until_shown()
    prometheus = Prometheus(0)
    prometheus.url = addresses["Prometheus"]
    queries = re.findall(
        r"^  (\S.*\S)  +\S.*$", text.partition("Queries for Prometheus\n")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert len(queries) >= len(summary.QUERIES) - 1
    for query in queries:
        wait_for(f"an answer to: {query}", lambda query=query: prometheus.query(query), SLOW_ENOUGH, pause=0.5)
    wanted = {(f"quarterdeck-demo-{service}-1", cause) for service, cause in causes.items()}

    def seen():
        found = prometheus.query(queries[1])
        return wanted <= {(labels["name"], labels["cause"]) for labels, _ in found}

    wait_for("each way to end", seen, SLOW_ENOUGH, pause=0.5)
    alerts = lambda: {"DemoContainerEndsBadly", "crash"} <= _alerts(addresses["Alertmanager"])  # noqa: E731
    wait_for("alerts of both", alerts, SLOW_ENOUGH, pause=0.5)
    received = 'quarterdeck_alerts_received_total{outcome="stored"} > 0'
    wait_for("the alert of Prometheus to be an incident", lambda: prometheus.query(received), SLOW_ENOUGH, pause=0.5)
    said = at_the_console(demo, text)
    for answer in (
        "quarterdeck-demo-queue-1",
        "FATAL: too many clients",
        "restarted in",
        "restart quarterdeck-demo/web",
    ):
        assert answer in said, said
    assert "hunter2" not in said
    for refusal in ("Traceback", "There is no", "Nothing was done"):
        assert refusal not in said, said


def at_the_console(demo, text):
    """What the commands that it prints answer at the console that it prints. The one that follows is the last, until it
    has shown an event."""
    (console,) = re.findall(r"^  (cd .* console)$", text, re.MULTILINE)
    commands = text.partition("and try these commands\n")[2].partition("\n\n")[0].split("\n")
    commands.sort(key=lambda line: "-f" in line)
    shown = demo.log.with_suffix(".console")
    with shown.open("wb") as out:
        process = subprocess.Popen(
            ["/bin/sh", "-c", console], stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
        )
    process.stdin.write("".join(f"{line}\n" for line in commands).encode())
    process.stdin.close()
    try:
        # After the table of the audit.
        live = lambda: re.search("died|started|healthy", shown.read_text().partition("RESULT")[2])  # noqa: E731
        wait_for("an event as it happens", live, SLOW_ENOUGH, pause=0.5)
    except AssertionError as error:
        raise AssertionError(shown.read_text()) from error
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return shown.read_text()


def test_where_they_are_not_installed_prometheus_and_alertmanager_are_containers(demo, dockerd, short_tmp):
    """Of the images' names as they are published: made here of the same programs, because no registry is reached."""
    need("promtool", "prometheus", "busybox")
    need("alertmanager", "prometheus-alertmanager", "amtool")
    for name, program in (("prometheus", "prometheus"), ("alertmanager", "prometheus-alertmanager")):
        tree = rootfs.Tree()
        tree.file(Path(shutil.which(program)), f"bin/{name}")
        for template in Path("/usr/share/prometheus/alertmanager").glob("*.tmpl"):  # Debian's looks for them there
            tree.file(template, str(template).lstrip("/"))
        repository, _, tag = programs.IMAGES[name].rpartition(":")
        dockerd.api.import_image_from_data(
            tree.packed(), repository=repository, tag=tag, changes=[f'ENTRYPOINT ["/bin/{name}"]']
        )
    path = short_tmp / "bin"
    path.mkdir()
    (path / "busybox").symlink_to(shutil.which("busybox"))
    running = demo(str(path))
    try:
        prometheus = Prometheus(0)
        prometheus.url = running.until_shown()["Prometheus"]
        assert "Pulling" not in running.text()
        wait_for("a scrape", lambda: prometheus.query("quarterdeck_containers > 0"), SLOW_ENOUGH, pause=0.5)
        assert "demo" in {group["name"] for group in prometheus.ask("rules")["groups"]}
        os.kill(running.process.pid, signal.SIGTERM)
        assert running.process.wait(120) == 0, running.text()
        assert dockerd.api.containers(all=True) == []
        # They were here before the demo, so they stay.
        assert set(programs.IMAGES.values()) <= {f"docker.io/{name}" for name in dockerd.names_of_images()}
    finally:
        running.end()
        dockerd.clear()
        for image in programs.IMAGES.values():
            dockerd.api.remove_image(image)


def test_an_image_that_cannot_be_pulled_is_a_sentence_and_nothing_is_left(demo, dockerd, short_tmp):
    path = short_tmp / "bin"
    path.mkdir()
    refused = demo(str(path))
    assert refused.process.wait(120) == 1
    said = refused.text()
    assert f"The image {programs.IMAGES['prometheus']} is not on this machine and cannot be pulled" in said
    assert "Traceback" not in said
    assert dockerd.api.containers(all=True) == []
    assert not (short_tmp / "cache/quarterdeck-demo").exists()


def test_without_an_engine_it_says_what_to_start(demo, short_tmp, dockerd):
    class Gone:
        url = f"unix://{short_tmp}/no.sock"

    refused = Demo(short_tmp, Gone, os.environ["PATH"], "gone")
    assert refused.process.wait(120) == 1
    assert "systemctl start docker" in refused.text()
    assert not (short_tmp / "cache/quarterdeck-demo").exists()
    assert "Traceback" not in refused.text()


def _refused(demo):
    second = demo()
    assert second.process.wait(120) == 1
    return second.text()


def _alerts(url):
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=10) as answer:
        return {alert["labels"]["alertname"] for alert in json.load(answer)}
