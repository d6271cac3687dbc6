"""Runs each query of docs/metrics.md with promtool: before an incident it finds nothing, after it what happened."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collectors.exposition import Exposition
from core import metrics
from core.model.containers import Container
from core.model.disk_use import Filesystem
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.model.swarm_status import NodeState, ServiceState, SwarmState
from core.model.units import Unit
from tests.helpers import engine_samples
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need
from tests.unit.collectors.test_metrics_page import NOW, Options, mirror_of, row, usage

QUERIES = re.findall(r"```promql\n(.*?)```", (ROOT / "docs/metrics.md").read_text(), re.DOTALL)
DOCKER = EngineRef(host="host7", kind="docker")
PODMAN = EngineRef(host="host8", kind="podman")
MINUTES = 20  # before the incident, and again after it


def page(*, seconds: float, bad: float = 0.0) -> str:
    """The page after so many seconds, the last `bad` of them after the incident."""
    counts = metrics.Metrics()
    for ref in (DOCKER, PODMAN):
        engine = metrics.engine_labels(ref)
        counts.engine_up.labels(*engine).set(not (bad and ref == PODMAN))
        counts.stream_up.labels(*engine).set(not (bad and ref == PODMAN))
    counts.job_runs_total.labels("disk_use", "ok").inc(seconds / 60)
    counts.job_runs_total.labels("disk_use", "failed").inc(bad / 60)
    web = row("web", health="unhealthy" if bad else "healthy", restarts=int(bad / 60))
    job = row("job", state="exited", exit_code=137 if bad else 0)
    hog = row("hog")
    more: Sequence[Container] = (
        [row(f"more-{number}", state="exited", exit_code=0, created_at=1.0) for number in range(3)] if bad else ()
    )
    mirror = mirror_of(web, job, hog, *more)
    mirror.usage.add(
        [
            usage(
                hog.ref,
                cpu_seconds=seconds * 0.5,
                memory=97_000_000 if bad else 50_000_000,
                oom_kills=int(bad / 120),
                cpu_periods=int(seconds * 10),
                throttled_periods=int(seconds * 0.5 + bad * 5),
            )
        ]
    )
    if bad:
        at = int(60e9 * MINUTES * 1.5)
        died = Event(at, EventKind.DIED, job.ref, Origin.LIVE, "container", "die", {"exit_code": "137"})
        mirror.ends.observe(died)
        mirror.ends.set_cause(died, Cause(kind=CauseKind.KILLED, text="killed from outside"))
    podman = mirror_of(host=PODMAN.host, kind=PODMAN.kind)
    if bad:
        podman.stream_lost()
    engine_samples.fill_resources(mirror, NOW)
    mirror.resources.filesystem = Filesystem(size=100_000_000, free=5_000_000 if bad else 40_000_000)
    unit = Ref(engine=PODMAN, kind=Kind.UNIT, id="web.service", name="web.service")
    state = "failed" if bad else "active"
    podman.resources.units, podman.resources.units_at = (Unit(ref=unit, active=state, sub="", container="web"),), NOW
    swarm = engine_samples.swarm_mirror("shop", NOW, swarm_state(bad=bool(bad)))
    expo = Exposition(counts, lambda: [mirror, podman, swarm], options=Options(max_containers=3), now=lambda: NOW)
    return expo.render().decode()


def swarm_state(*, bad: bool) -> SwarmState:
    services = (
        ServiceState("s1" * 12, "web", "replicated", "", desired=3, running=2 if bad else 3),
        ServiceState("s2" * 12, "api", "replicated", "", desired=1, running=1, update="paused" if bad else "completed"),
    )
    nodes = (NodeState("n1" * 12, "host1", "manager", "down" if bad else "ready", "active"),)
    return SwarmState(services=services, nodes=nodes, read_at=NOW)


def values(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={json.dumps(value)}" for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def history() -> list[dict[str, str]]:
    """The series of a scrape each minute, as promtool reads them."""
    minutes = range(2 * MINUTES + 1)
    pages = [values(page(seconds=60.0 * at, bad=max(0.0, 60.0 * (at - MINUTES)))) for at in minutes]
    names = sorted({name for each in pages for name in each})
    return [
        {"series": name, "values": " ".join(repr(each[name]) if name in each else "_" for each in pages)}
        for name in names
    ]


def check(tmp_path: Path, tests: Sequence[dict[str, object]]) -> subprocess.CompletedProcess[str]:
    given = {
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": history(), "promql_expr_test": tests}],
    }
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps(given))
    return subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, timeout=60, check=False)


def found(query: str, minute: int, number: int) -> dict[str, object]:
    return {
        "expr": f"count({query}) or vector(0)",
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": "{}", "value": number}],
    }


def test_the_document_has_queries() -> None:
    assert 5 <= len(QUERIES) <= 8


def test_each_query_finds_what_happened_and_nothing_before(tmp_path: Path) -> None:
    need("promtool", "promtool")
    numbers = {  # by a word of the query, what it finds before and after the incident
        "last_end_cause": (0, 1),
        "container_restarts_total": (0, 1),
        "exit_code": (0, 2),
        "memory_working_set": (0, 1),
        "swarm_service": (0, 4),
        "data_root": (0, 1),
        "topk": (1, 1),
        "stream_up": (0, 3),
    }
    tests = []
    for query in QUERIES:
        (expected,) = [pair for word, pair in numbers.items() if word in query]
        tests += [found(query, MINUTES, expected[0]), found(query, 2 * MINUTES, expected[1])]
    done = check(tmp_path, tests)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_joined_query_has_the_image(tmp_path: Path) -> None:
    need("promtool", "promtool")
    (query,) = [query for query in QUERIES if "topk" in query]
    labels = '{host="host7", engine="docker", name="hog", image="busybox:1"}'
    wanted = {"expr": query, "eval_time": f"{MINUTES}m", "exp_samples": [{"labels": labels, "value": 0.5}]}
    done = check(tmp_path, [wanted])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_uses_metrics_of_the_page(query: str) -> None:
    names = {key.partition("{")[0] for key in values(page(seconds=60.0, bad=60.0))}
    assert set(re.findall(r"quarterdeck_\w+", query)) <= names
