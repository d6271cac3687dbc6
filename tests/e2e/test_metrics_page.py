"""The metrics page of all engines at once, as a real Prometheus and a real promtool read it from a running process."""

import gzip
import json
import subprocess
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from tests.daemons.prometheus import private_prometheus
from tests.helpers.bot_process import get
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need
from tests.helpers.waiting import free_tcp_port, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

# As Prometheus 2.42 sends it.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


def openmetrics(port):
    headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert answer.headers["Content-Encoding"] == "gzip"
        return gzip.decompress(answer.read()).decode()


def containers(port, family):
    """The engine and the name of each container with series of this family."""
    for one in text_string_to_metric_families(get(port)[1]):
        if one.name == family:
            return {(sample.labels["engine"], sample.labels["name"]) for sample in one.samples}
    return set()


def engines(port, family):
    """The engines that have series of this family."""
    for one in text_string_to_metric_families(get(port)[1]):
        if one.name == family:
            return {sample.labels["engine"] for sample in one.samples}
    return set()


def test_the_page_of_all_engines_is_clean_complete_and_scraped(bot, grounds, crio, short_tmp):
    need("promtool", "promtool", "prometheus")
    crio.run("web-crio", "exec sleep 3600")
    named = {"rootless": "1001", "crio": "crio"}
    watched = {**grounds, "crio": crio}
    bot.watch(
        *(
            {"kind": daemon.kind, "url": daemon.url, "name": named.get(key, "default")}
            for key, daemon in watched.items()
        )
    )
    process = bot.start("run", port=(port := free_tcp_port()))
    kinds = {"docker", "podman", "podman/1001", "containerd", "cri", "cri/crio", "oci"}

    def running(family):
        return {engine for engine, name in containers(port, family) if "web-" in name}

    wait_for("all containers", lambda: running("quarterdeck_container_info") == kinds)
    # An ordinary user's containers have no usage on version 1 of cgroups.
    measured = kinds - {"podman/1001"}
    wait_for("their usage", lambda: running("quarterdeck_container_cpu_usage_seconds") >= measured)

    with_images = kinds - {"oci"}
    wait_for("their resources", lambda: engines(port, "quarterdeck_images") == with_images)
    wait_for("their disk use", lambda: engines(port, "quarterdeck_disk_use_timestamp_seconds") == with_images)
    local = {"docker", "podman", "podman/1001", "containerd"}
    wait_for("their file systems", lambda: engines(port, "quarterdeck_data_root_free_bytes") >= local, 120)
    assert engines(port, "quarterdeck_swarm_service_replicas_running") == {"swarm"}
    assert engines(port, "quarterdeck_swarm_node_state") == {"swarm"}

    text = get(port)[1]
    checked = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
    modern = openmetrics(port)
    families = {family.name: family for family in openmetrics_families(modern)}
    assert modern.endswith("\n# EOF\n") and families["quarterdeck_container"].type == "info"

    listed = {one["name"]: one for one in json.loads(bot.call("metrics", "--format", "json"))}
    shown = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert shown == {name: "gauge" if one["type"] == "info" else one["type"] for name, one in listed.items()}
    for family in text_string_to_metric_families(text):
        one = listed.get(family.name) or listed[f"{family.name}_total"]
        labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
        assert labels <= {frozenset(one["labels"]) - {"label_*"}}, family.name

    with private_prometheus(short_tmp, port) as prometheus:
        assert prometheus.refused_samples() == 0
        info = prometheus.ask("metadata", metric="quarterdeck_container")
        assert info["quarterdeck_container"][0]["type"] == "info", "Prometheus did not scrape OpenMetrics"

        def found_engines(query):
            return {labels["engine"] for labels, _ in prometheus.query(query)}

        every = kinds | {"swarm"}
        wait_for("all streams", lambda: found_engines("quarterdeck_stream_up == 1") == every, pause=0.2)
        states = 'quarterdeck_container_state{name=~".*web-.*", state="running"} == 1'
        wait_for("all containers in Prometheus", lambda: found_engines(states) == kinds, pause=0.2)
        document = (ROOT / "docs/metrics.md").read_text()
        for query in [part.partition("```")[0] for part in document.split("```promql\n")[1:]]:
            prometheus.query(query)

        grounds["docker"].remove("web-docker")
        gone = 'absent(quarterdeck_container_info{engine="docker", name="web-docker"})'
        wait_for("the series of a removed container to end", lambda: prometheus.query(gone), pause=0.2)
        wait_for(
            "its usage to end",
            lambda: not prometheus.query('quarterdeck_container_threads{engine="docker", name="web-docker"}'),
            pause=0.2,
        )
    assert process.poll() is None and "Traceback" not in process.log.read_text()
