"""The metrics page of all engines in both formats: golden, linted, read back by the official parsers, and whole when a
scraper is not."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
import structlog
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from collectors import exposition, shown_containers
from collectors.exposition import Exposition, Options, Scraper
from collectors.scrapers import container_state
from core import metric_families, metrics
from core.metric_families import Format
from core.model.containers import HEALTH_STATES, LIVE_STATES, STATES, Container
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_usage import Usage
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime
from tests.helpers import engine_samples
from tests.helpers.paths import GOLDEN as GOLDEN_DIR
from tests.helpers.requirements import need

GOLDEN = {Format.TEXT: GOLDEN_DIR / "metrics.txt", Format.OPENMETRICS: GOLDEN_DIR / "metrics.openmetrics.txt"}
NOW = 1_800_000_000.0


def row(name: str, *, engine: EngineRef | None = None, **changes: Any) -> Container:
    ref = Ref(
        engine or EngineRef(host="host7", kind="docker"),
        Kind.CONTAINER,
        f"{name}-".encode(errors="surrogatepass").hex().ljust(64, "0"),
        name,
    )
    plain = Container(
        ref=ref,
        image="busybox:1",
        image_id="",
        command="sleep",
        state="running",
        status="",
        created_at=NOW - 7200,
        labels={},
        started_at=NOW - 3600.5,
        restarts=0,
        oom_killed=False,
    )
    return msgspec.structs.replace(plain, **changes)


def mirror_of(
    *rows: Container, host: str = "host7", kind: str = "docker", name: str = "default", at: float = NOW
) -> Mirror:
    # A Swarm lists no containers: they are those of the Docker engines of its nodes.
    if kind == "swarm":
        return engine_samples.swarm_mirror(host, at)
    runtime = FakeRuntime(host, kind=kind, name=name)
    mirror = Mirror(runtime, now=lambda: at)
    mirror.stream_opened(0)
    mirror.replace(rows, 1)
    return mirror


def page(*mirrors: Mirror, counts: metrics.Metrics | None = None, form: Format = Format.TEXT, **more: Any) -> str:
    counts = counts or metrics.Metrics(version="1.2.3")
    return Exposition(counts, lambda: mirrors, now=lambda: NOW, **more).render(form).decode()


def scrape(*mirrors: Mirror, options: Options = Options()) -> shown_containers.Scrape:
    return shown_containers.ContainerSelection(options.max_containers).select(mirrors, NOW)


def scraped(scraper: Scraper, *mirrors: Mirror, options: Options = Options(), form: Format = Format.TEXT) -> str:
    """The part of the page that one scraper renders."""
    collected = scraper.make(options)(scrape(*mirrors, options=options))
    parts = [(family.head(form), lines) for family, lines in zip(scraper.families, collected, strict=True)]
    end = b"# EOF\n" if form is Format.OPENMETRICS else b""
    return b"".join([*(text for part in parts for text in part), end]).decode()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name.removeprefix("quarterdeck_"), tuple(sorted(sample.labels.items())))
            assert key not in found, "one series twice: Prometheus refuses the page"
            found[key] = sample.value
    return found


def value(text: str, family: str, /, **labels: str) -> float | None:
    wanted = {"host": "host7", "engine": "docker", **labels}
    return samples(text).get((family, tuple(sorted(wanted.items()))))


ENGINES = (
    EngineRef(host="host7", kind="docker"),
    EngineRef(host="shop-cluster", kind="swarm"),
    EngineRef(host="host8", kind="podman"),
    EngineRef(host="host8", kind="podman", name="alice"),
    EngineRef(host="host8", kind="containerd"),
    EngineRef(host="node1", kind="cri"),
    EngineRef(host="node1", kind="oci"),
)


def sample_fleet() -> Sequence[Mirror]:
    """One mirror of each engine, with containers as the engine names them."""
    labels = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "team": "payments",
        "a.b": "c",
    }
    docker, swarm, podman, rootless, containerd, cri, oci = ENGINES
    fleet = {
        docker: [
            row("shop-web-1", labels=labels, health="healthy", restarts=3),
            row("worker", state="exited", exit_code=137, oom_killed=True, finished_at=NOW - 60),
            row("fresh", state="created", started_at=None, restarts=None, oom_killed=None),
            row("held", state="paused", image='odd"\\\nimage'),
        ],
        swarm: [],
        podman: [],
        rootless: [row("shop-web-1", engine=rootless, health="starting")],
        containerd: [row("redis", engine=containerd, restarts=None, oom_killed=None, started_at=None)],
        cri: [row("shop/web-0/app", engine=cri, labels={"io.kubernetes.pod.name": "web-0"}, restarts=1)],
        oci: [row("sandbox", engine=oci, image="", restarts=None, oom_killed=False)],
    }
    mirrors = [mirror_of(*rows, host=ref.host, kind=ref.kind, name=ref.name) for ref, rows in fleet.items()]
    for mirror in mirrors:
        running = [each.ref for each in mirror.containers.values() if each.state == "running"]
        mirror.usage.add([usage(ref) if ref.engine == docker else Usage(ref=ref, cpu_seconds=1.5) for ref in running])
    web = next(each for each in mirrors[0].containers.values() if each.ref.name == "shop-web-1")
    at = int((NOW - 3601) * 1e9)
    crashed = Event(at, EventKind.DIED, web.ref, Origin.LIVE, "container", "die", {"exit_code": "1"})
    mirrors[0].ends.observe(crashed)
    mirrors[0].ends.set_cause(crashed, Cause(kind=CauseKind.CRASHED, text="crashed: it failed (exit code 1)"))
    mirrors[0].ends.observe(msgspec.structs.replace(crashed, kind=EventKind.STARTED, attrs={}))
    engine_samples.fill_resources(mirrors[0], NOW)
    engine_samples.fill_units(mirrors[2], NOW)
    return mirrors


def usage(ref: Ref, **changes: Any) -> Usage:
    known = Usage(
        ref=ref,
        cpu_percent=12.5,
        cpu_seconds=1234.5,
        memory=50_000_000,
        memory_limit=100_000_000,
        network_received=1_000_000,
        network_sent=2_000_000,
        block_read=4096,
        block_written=8192,
        processes=7,
        process_limit=100,
        memory_usage=60_000_000,
        memory_failures=3,
        swap=0,
        oom_kills=1,
        cpu_periods=100,
        throttled_periods=10,
        throttled_seconds=1.5,
    )
    return msgspec.structs.replace(known, **changes)


def counted() -> metrics.Metrics:
    """Metrics in which every family has a series."""
    counts = metrics.Metrics(version="1.2.3")
    for ref in ENGINES:
        count_engine(counts, metrics.engine_labels(ref))
    count_process(counts)
    return counts


def count_engine(counts: metrics.Metrics, engine: tuple[str, str]) -> None:
    counts.events_total.labels(*engine, "container", "die").inc(2)
    counts.engine_up.labels(*engine).set(1)
    counts.engine_info.labels(*engine).info({"version": "26.1.5", "api": "1.45"})
    counts.stream_up.labels(*engine).set(1)
    counts.stream_connects_total.labels(*engine).inc()
    counts.stream_reconnects_total.labels(*engine).inc(0)
    counts.stream_gaps_total.labels(*engine, "stream_lost", "replayed").inc()
    counts.stream_gap_seconds_total.labels(*engine, "stream_lost", "replayed").inc(1.5)
    counts.stream_replayed_events_total.labels(*engine).inc(3)
    counts.stream_duplicate_events_total.labels(*engine).inc(2)
    counts.stream_lag_seconds.labels(*engine).observe(0.004)
    counts.stream_cursor_age_seconds.labels(*engine).set_function(lambda: 2.5)
    counts.stream_overflows_total.labels(*engine).inc(0)
    counts.engine_data_skipped_total.labels(*engine, "event").inc(0)
    counts.events_cut_total.labels(*engine).inc(0)
    counts.stream_last_event_timestamp_seconds.labels(*engine).set(NOW)
    counts.relists_total.labels(*engine, "ok").inc()
    counts.relist_duration_seconds.labels(*engine).observe(0.02)
    counts.resync_events_total.labels(*engine).inc(0)
    counts.usage_interval_seconds.labels(*engine).set(15)
    counts.usage_read_duration_seconds.labels(*engine).set(0.01)
    counts.container_ends_total.labels(*engine, "crashed").inc()
    counts.history_lost_events_total.labels(*engine).inc(0)


def count_process(counts: metrics.Metrics) -> None:
    counts.loop_lag_seconds.observe(0.002)
    counts.task_restarts_total.labels("watch").inc()
    counts.task_failures_total.labels("crash_card").inc()
    counts.job_runs_total.labels("disk_use", "ok").inc()
    counts.job_duration_seconds.labels("disk_use").observe(0.3)
    counts.job_last_success_timestamp_seconds.labels("disk_use").set(NOW)
    counts.schedule_leader.set(1)
    counts.commands_total.labels("ps", "allow", "ok").inc()
    counts.command_duration_seconds.labels("ps").observe(0.003)
    counts.audit_rows_total.labels("intent").inc()
    counts.slack_received_total.labels("slash").inc()
    counts.slack_ignored_total.labels("edited").inc()
    counts.http_refused_total.labels("slack", "crowded").inc()
    counts.slack_reply_seconds.labels("slash").observe(0.2)
    counts.slack_calls_total.labels("chat.postMessage", "ok").inc()
    counts.slack_throttled_total.labels("chat.postMessage").inc()
    counts.alerts_total.labels("crash", "firing").inc()
    counts.alerts_firing.labels("medium").set(1)
    counts.incidents_open.labels("crash", "payments", "medium", "firing").set(1)
    counts.incident_begin_timestamp_seconds.labels(
        *metrics.engine_labels(ENGINES[0]), "container", "worker", "crash", "payments", "medium", "firing"
    ).set(NOW - 60)
    counts.incident_acknowledge_seconds.labels("crash", "payments").observe(30)
    counts.incident_resolve_seconds.labels("crash", "payments").observe(600)
    counts.incidents_waiting.set(0)
    counts.incident_messages_total.labels("posted").inc()
    counts.alerts_lost_total.labels("queue_full").inc()
    counts.alerts_received_total.labels("stored").inc()
    counts.heartbeats_total.labels("sent").inc()
    counts.outlet_waiting.labels("webhook", "tickets").set(2)
    counts.outlet_oldest_seconds.labels("webhook", "tickets").set(7)
    counts.outlet_requests_total.labels("webhook", "delivered").inc()
    counts.outlet_lost_total.labels("webhook").inc()
    counts.slack_overflow_total.labels("info").inc()
    counts.slack_lost_answers_total.labels("found").inc()
    counts.posting_leader.set(1)
    counts.alerts_queued.set(0)
    counts.alerts_dropped.set(0)
    counts.store_up.set(1)
    counts.store_round_trip_seconds.observe(0.0003)
    counts.store_memory_bytes.set(3 << 20)
    counts.store_memory_limit_bytes.set(512 << 20)
    counts.history_stored_events.set(5000)
    counts.history_stored_bytes.set(4 << 20)
    counts.audit_stored_rows.set(1200)
    counts.audit_fill_ratio.set(0.012)
    counts.audit_removed_rows.set(0)
    counts.config_last_reload_successful.set(1)
    counts.config_last_reload_timestamp_seconds.set(NOW)


def normal(text: str) -> str:
    """Without what differs between machines and runs."""
    lines = [line for line in text.splitlines() if not re.match(r"(# (HELP|TYPE|UNIT) )?(process|python)_", line)]
    text = "\n".join(lines) + "\n"
    text = re.sub(r"(scraper_duration_seconds\{.*\}) .*", r"\1 <seconds>", text)
    return re.sub(r'python="[^"]*"', 'python="<python>"', text)


def whole_page(form: Format) -> str:
    return page(*sample_fleet(), counts=counted(), form=form, options=Options(container_labels=("team", "a.b")))


@pytest.mark.parametrize("form", Format)
def test_the_page_is_the_golden_one(form: Format) -> None:
    text = normal(whole_page(form))
    if os.environ.get("GOLDEN") == "1":
        GOLDEN[form].write_text(text)
    assert text == GOLDEN[form].read_text(), "run with GOLDEN=1 to rewrite it, then review the difference"


def test_every_family_of_ours_is_on_the_golden_page() -> None:
    golden = GOLDEN[Format.TEXT].read_text()
    for family in metrics.Metrics().families:
        if family.name.startswith(metrics.PREFIX):
            assert re.search(rf"^{family.name}\w*(\{{| )", golden, re.MULTILINE), f"{family.name} has no series in it"


def test_promtool_finds_nothing_to_mend() -> None:
    need("promtool", "promtool")
    text = whole_page(Format.TEXT)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_the_parser_of_prometheus_reads_openmetrics(tmp_path: Path) -> None:
    """Also with names and labels that somebody chose to break it."""
    need("promtool", "promtool")
    odd = ['x"} 1\n# EOF\n', "\\", "\\n", "\x00\x1b[31m", "\ud800", "é\u202e\U0001f600", " ", "{a='b'}", "x" * 5000]
    rows = [row(name, image=name, labels={"team": name}) for name in odd]
    hostile = mirror_of(*rows, host="host9")
    hostile.usage.add([usage(each.ref) for each in rows])
    options = Options(container_labels=("team",))
    text = page(*sample_fleet(), hostile, counts=counted(), form=Format.OPENMETRICS, options=options)
    # promtool imports samples only if they have a time.
    file = tmp_path / "page"
    file.write_text("".join(f"{line[:-1]} {NOW:.0f}\n" if line[0] != "#" else line for line in text.splitlines(True)))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", file, tmp_path / "blocks"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_both_formats_have_the_same_families_and_series() -> None:
    fleet, counts = sample_fleet(), counted()
    expo = Exposition(counts, lambda: fleet, now=lambda: NOW)
    text, openmetrics = (expo.render(form).decode() for form in (Format.TEXT, Format.OPENMETRICS))
    classic = parsed(text)
    modern = {  # the text format has no infos
        f"{name}_info" if kind == "info" else name: ("gauge" if kind == "info" else kind, *rest)
        for name, (kind, *rest) in parsed(openmetrics, openmetrics_families).items()
    }
    assert modern.keys() == classic.keys()
    for name, family in modern.items():
        if not re.match("process_|quarterdeck_scraper_duration_seconds", name):  # those change between two scrapes
            assert family == classic[name]


def test_openmetrics_names_units_and_ends() -> None:
    text = whole_page(Format.OPENMETRICS)
    families = {family.name: family for family in openmetrics_families(text)}
    assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
    assert families["quarterdeck_relist_duration_seconds"].unit == "seconds"
    assert families["quarterdeck_container_cpu_usage_seconds"].unit == "seconds"
    assert families["quarterdeck_container_memory_working_set_bytes"].unit == "bytes"
    assert families["quarterdeck_container_threads"].unit == ""
    assert families["quarterdeck_container"].type == families["quarterdeck_build"].type == "info"
    assert families["quarterdeck_container_oom_events"].type == "counter"
    with_unit = {name for name in families if name.rpartition("_")[2] in metric_families.UNITS}
    ours = {name for name in with_unit if name.startswith("quarterdeck_")}
    assert {name for name in ours if families[name].unit} == ours


def test_every_engine_labels_its_containers_in_the_same_way() -> None:
    kinds = set()
    for (family, pairs), _ in samples(whole_page(Format.TEXT)).items():
        labels = dict(pairs)
        if family.startswith("container_") and "name" in labels:
            kinds.add(labels["engine"])
            assert {"host", "engine", "name"} <= labels.keys()
    assert kinds == {"docker", "podman/alice", "containerd", "cri", "oci"}


def test_the_parser_reads_back_what_the_containers_are() -> None:
    text = page(*sample_fleet(), options=Options(container_labels=("team", "a.b")))
    for state in STATES:
        assert value(text, "container_state", name="worker", state=state) == (state == "exited")
    for health in HEALTH_STATES:
        assert value(text, "container_health_state", name="shop-web-1", health=health) == (health == "healthy")
        assert value(text, "container_health_state", name="worker", health=health) is None
    assert value(text, "container_exit_code", name="worker") == 137
    assert value(text, "container_exit_code", name="shop-web-1") is None
    assert value(text, "container_restarts_total", name="shop-web-1") == 3
    assert value(text, "container_restarts_total", name="fresh") is None
    assert value(text, "container_oom_killed", name="worker") == 1
    assert value(text, "container_start_time_seconds", name="shop-web-1") == NOW - 3600.5
    assert value(text, "container_start_time_seconds", name="fresh") is None
    info = {"image": "busybox:1", "id": "73686f702d77", "project": "shop", "service": "web"}
    assert value(text, "container_info", name="shop-web-1", **info, label_team="payments", label_a_b="c") == 1
    assert value(text, "containers", state="running") == 1
    assert value(text, "containers", state="dead") == 0
    assert value(text, "container_series_capped") == 0
    assert value(text, "mirror_containers") == 4
    assert value(text, "mirror_containers", host="host8", engine="podman") == 0
    assert value(text, "containers", host="shop-cluster", engine="swarm", state="running") is None
    assert value(text, "mirror_live") == 1


class Library:
    """The same families as the hand-written block, made by prometheus_client from the containers themselves."""

    def __init__(self, rows: Sequence[Container], labels: Sequence[str]) -> None:
        self.rows = rows
        self.labels = labels

    def collect(self) -> Sequence[Metric]:
        who = ("host", "engine", "name")
        extra = [f"label_{label}" for label in self.labels]
        about = {
            family.name: family
            for family in text_string_to_metric_families(
                b"".join(family.head(Format.TEXT) for family in container_state.BLOCK).decode()
            )
        }

        def gauge(name: str, *labels: str) -> GaugeMetricFamily:
            name = f"{metrics.PREFIX}_{name}"
            return GaugeMetricFamily(name, about[name].documentation, labels=(*who, *labels))

        state, health = gauge("container_state", "state"), gauge("container_health_state", "health")
        code, oom = gauge("container_exit_code"), gauge("container_oom_killed")
        start = gauge("container_start_time_seconds")
        info = InfoMetricFamily(
            f"{metrics.PREFIX}_container",
            about[f"{metrics.PREFIX}_container_info"].documentation,
            labels=who,
        )
        name = f"{metrics.PREFIX}_container_restarts"
        restarts = CounterMetricFamily(name, about[name].documentation, labels=who)
        for row in self.rows:
            me = ("host7", "docker", metrics.visible(row.ref.name))
            for each in STATES:
                state.add_metric((*me, each), each == row.state)
            if row.health and row.state in LIVE_STATES:
                for each in HEALTH_STATES:
                    health.add_metric((*me, each), each == row.health)
            if row.exit_code is not None and row.state in ("exited", "dead"):
                code.add_metric(me, row.exit_code)
            if row.restarts is not None:
                restarts.add_metric(me, row.restarts)
            if row.oom_killed is not None:
                oom.add_metric(me, row.oom_killed)
            if row.started_at is not None:
                start.add_metric(me, row.started_at)
            mine = [row.labels.get(label, "") for label in self.labels]
            words = (row.image, row.ref.short_id, row.project or "", row.service or "", *mine)
            about_it = dict(
                zip(["image", "id", "project", "service", *extra], map(metrics.visible, words), strict=True)
            )
            info.add_metric(me, about_it)
        return state, health, code, restarts, oom, start, info


def parsed(text: str, parse: Any = text_string_to_metric_families) -> dict[str, Any]:
    """Families by name: type, help and every sample with its value."""
    found: dict[str, Any] = {}
    for family in parse(text):
        rows = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in family.samples}
        assert len(rows) == len(family.samples)
        found[family.name] = (family.type, family.documentation, rows)
    return found


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
any_rows = st.lists(
    st.builds(
        row,
        words.filter(bool),
        state=st.sampled_from(STATES),
        image=words,
        health=st.sampled_from(["", *HEALTH_STATES]),
        started_at=st.none() | st.floats(0, 4e9),
        exit_code=st.none() | st.integers(-1, 255),
        restarts=st.none() | st.integers(0, 10**9),
        oom_killed=st.none() | st.booleans(),
        labels=st.dictionaries(
            st.sampled_from(["team", "com.docker.compose.project", "com.docker.compose.service"]), words
        ),
    ),
    max_size=5,
    unique_by=lambda one: one.ref.name,
)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(any_rows)
def test_the_hand_written_block_equals_what_the_library_would_write(rows: Sequence[Container]) -> None:
    registry = CollectorRegistry()
    registry.register(Library(rows, ["team"]))  # type: ignore[arg-type]
    for form, parse, library in (
        (Format.TEXT, text_string_to_metric_families, generate_latest),
        (Format.OPENMETRICS, openmetrics_families, generate_openmetrics),
    ):
        options = Options(container_labels=("team",))
        found = parsed(scraped(container_state.scraper, mirror_of(*rows), options=options, form=form), parse)
        for totals in ("containers", "container_series_capped"):
            del found[f"{metrics.PREFIX}_{totals}"]
        assert found == parsed(library(registry).decode(), parse)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(name=st.text(min_size=1), image=st.text(), label=st.text(st.characters()), host=st.text(min_size=1))
def test_hostile_words_come_through_printable_and_add_no_series(name: str, image: str, label: str, host: str) -> None:
    mirror = mirror_of(row(name, image=image, labels={"team": label}), host=host)
    text = scraped(container_state.scraper, mirror, options=Options(container_labels=("team",)))
    found = samples(text)
    info = [dict(labels) for (family, labels) in found if family == "container_info"]
    assert len(found) == 7 + 1 + 1 + 1 + 1 + 7 + 1
    safe = {
        key: metrics.visible(word).encode(errors="replace").decode()
        for key, word in (("n", name), ("i", image), ("l", label), ("h", host))
    }
    assert (info[0]["name"], info[0]["image"], info[0]["label_team"], info[0]["host"]) == tuple(safe.values())
    assert all(line.isprintable() for line in text.split("\n"))


def test_no_label_of_any_family_holds_what_a_terminal_obeys_or_hides() -> None:
    bad = "w\x1b[31m\u202eeb\x9b\u200b"
    mirror = mirror_of(
        row(bad, image=bad, labels={"team": bad}), row(bad.replace("\x1b", "\\x1b"), created_at=1.0), host=bad
    )
    mirror.usage.add([usage(next(iter(mirror.containers.values())).ref)])
    counts = metrics.Metrics()
    counts.relists_total.labels(*metrics.engine_labels(mirror.ref), "done").inc()
    text = page(mirror, options=Options(container_labels=("team",)))
    counted = metrics.render(counts).decode()
    assert "relists_total" in counted and all(line.isprintable() for line in f"{text}{counted}".split("\n"))
    names = [dict(labels)["name"] for family, labels in samples(text) if family == "container_info"]
    assert len(names) == len(set(names)) and "w\\x1b[31m\\u202eeb\\x9b\\u200b" in names


def test_the_cap_keeps_what_runs_and_says_what_it_left_out() -> None:
    rows = [row(f"old{n}", state="exited", created_at=NOW - n) for n in range(5)] + [row("up", created_at=NOW - 9999)]
    text = page(mirror_of(*rows), options=Options(max_containers=3))
    shown = {dict(labels)["name"] for family, labels in samples(text) if family == "container_info"}
    assert shown == {"up", "old0", "old1"}
    assert value(text, "container_series_capped") == 3
    assert value(text, "containers", state="exited") == 5


def test_of_two_containers_with_one_name_the_younger_is_shown() -> None:
    older, younger = row("web", created_at=1.0), row("web", created_at=2.0)
    younger = msgspec.structs.replace(younger, ref=msgspec.structs.replace(older.ref, id="f" * 64))
    text = page(mirror_of(younger, older))
    assert [dict(labels)["id"] for family, labels in samples(text) if family == "container_info"] == ["f" * 12]


def test_containers_nobody_vouches_for_any_more_are_left_out() -> None:
    web = row("web")
    recent, stale = mirror_of(web, at=NOW - 299), mirror_of(web, at=NOW - 301)
    recent.stream_lost()
    assert value(page(recent), "container_state", name="web", state="running") == 1
    assert value(page(recent), "mirror_live") == 0
    assert value(page(stale), "container_state", name="web", state="running") is None


def test_a_block_is_written_once_and_again_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    block = container_state._Containers.block

    def counting(self: Any, shown: shown_containers.ShownContainer) -> Any:
        written.append(shown.row.ref.name)
        return block(self, shown)

    monkeypatch.setattr(container_state._Containers, "block", counting)
    mirror = mirror_of(row("web"), row("db"))
    expo = Exposition(metrics.Metrics(), lambda: [mirror], only=["containers"], now=lambda: NOW)
    expo.render()
    expo.render(Format.OPENMETRICS)
    assert written == ["web", "db"]
    mirror.apply_inspections({row("db").ref.id: row("db", state="exited", exit_code=4)}, 2)
    after = expo.render().decode()
    assert written == ["web", "db", "db"]
    assert value(after, "container_exit_code", name="db") == 4


def test_one_failing_scraper_does_not_break_the_page() -> None:
    def make(options: Options) -> exposition.Collect:
        def collect(scrape: shown_containers.Scrape) -> Sequence[bytes]:
            raise RuntimeError("a bug of ours")

        return collect

    bad = Scraper(name="bad", families=[metric_families.gauge("bad", "Nothing")], make=make)
    expo = Exposition(
        metrics.Metrics(), lambda: sample_fleet(), scrapers=[bad, container_state.scraper], now=lambda: NOW
    )
    with structlog.testing.capture_logs() as logs:
        first, second = expo.render().decode(), expo.render().decode()
    for text in (first, second):
        assert samples(text)[("scraper_success", (("scraper", "bad"),))] == 0
        assert samples(text)[("scraper_success", (("scraper", "containers"),))] == 1
        assert ("scraper_duration_seconds", (("scraper", "containers"),)) in samples(text)
        assert value(text, "container_exit_code", name="worker") == 137
    assert len(logs) == 1


def test_scrapers_can_be_chosen_and_unknown_ones_are_refused() -> None:
    text = page(*sample_fleet(), only=())
    assert value(text, "containers", state="running") is None
    off = Scraper(name="off", families=container_state.scraper.families, make=container_state.scraper.make, on=False)
    assert value(page(*sample_fleet(), scrapers=[off]), "containers", state="running") is None
    assert value(page(*sample_fleet(), scrapers=[off], only=["off"]), "containers", state="running") == 1
    with pytest.raises(ValueError, match="no scraper nothing"):
        page(only=["nothing"])


def test_discovery_finds_ours_and_fails_loudly_on_a_module_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one.name for one in exposition.discover()] == [
        "container_ends",
        "container_usage",
        "containers",
        "engine_resources",
        "swarm_state",
        "unit_state",
    ]
    package = importlib.import_module("collectors.scrapers")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "collectors.scrapers.empty", types.ModuleType("collectors.scrapers.empty"))
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(TypeError, match="must export one value `scraper`"):
        exposition.discover()
    twin = types.ModuleType("collectors.scrapers.empty")
    twin.scraper = container_state.scraper  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "collectors.scrapers.empty", twin)
    with pytest.raises(ValueError, match="already a scraper named containers"):
        exposition.discover()


def test_families_with_one_name_are_refused() -> None:
    again = Scraper(name="again", families=[container_state.STATE], make=lambda options: lambda scrape: [b""])
    with pytest.raises(ValueError, match="two families named quarterdeck_container_state"):
        page(scrapers=[container_state.scraper, again])
    for name in ("relist_duration_seconds_count", "events", "build"):  # as OpenMetrics names its own samples
        clash = Scraper(name="clash", families=[metric_families.gauge(name, "Something")], make=again.make)
        with pytest.raises(ValueError, match=f"two families named quarterdeck_{name}"):
            page(scrapers=[clash])


def test_a_scraper_that_forgets_a_family_fails() -> None:
    short = Scraper(name="short", families=container_state.BLOCK, make=lambda options: lambda scrape: [b""])
    with structlog.testing.capture_logs() as logs:
        text = page(scrapers=[short])
    assert samples(text)[("scraper_success", (("scraper", "short"),))] == 0 and len(logs) == 1


def test_labels_tell_engines_of_one_host_apart() -> None:
    assert metrics.engine_labels(EngineRef(host="h", kind="docker")) == ("h", "docker")
    assert metrics.engine_labels(EngineRef(host="h", kind="docker", name="rootless")) == ("h", "docker/rootless")


def test_the_librarys_global_registry_stays_out_of_it() -> None:
    import prometheus_client

    metrics.Metrics()
    metrics.Metrics()
    assert b"quarterdeck" not in prometheus_client.generate_latest()


def test_every_series_of_an_engine_that_is_removed_goes_and_the_others_stay() -> None:
    counts = metrics.Metrics()
    for engine in ("docker", "docker/two", "podman"):
        counts.events_total.labels("h", engine, "container", "die").inc()
        counts.stream_up.labels("h", engine).set(1)
        counts.relists_total.labels("h", engine, "ok").inc()
        counts.relist_duration_seconds.labels("h", engine).observe(0.1)
    counts.commands_total.labels("ps", "allow", "ok").inc()
    counts.remove_engine("h", "docker")
    left = {
        sample.labels["engine"]
        for family in counts.registry.collect()
        for sample in family.samples
        if "engine" in sample.labels
    }
    assert left == {"docker/two", "podman"}
    assert counts.registry.get_sample_value(
        "quarterdeck_relist_duration_seconds_count", {"host": "h", "engine": "podman"}
    )
    counts.remove_engine("h", "docker")
    counts.remove_engine("h", "never there")


def test_series_of_engines_that_are_not_watched_leave_the_page() -> None:
    """Also those under the name that an engine had before its first contact."""
    counts, fleet = counted(), list(sample_fleet())
    count_engine(counts, ("guessed", "docker"))
    expo = Exposition(counts, lambda: fleet, now=lambda: NOW)

    def hosts(text: str) -> set[str]:
        return {value for _, labels in samples(text) for name, value in labels if name == "host"}

    assert hosts(expo.render().decode()) == {ref.host for ref in ENGINES}
    kept = counts.stream_connects_total.labels("host7", "docker")
    del fleet[1:]
    assert hosts(expo.render().decode()) == {"host7"}
    kept.inc()
    assert value(expo.render().decode(), "stream_connects_total") == 2


# ── the usage ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_value_has_no_series_and_a_zero_has_one() -> None:
    mirror = mirror_of(row("web"))
    (web,) = mirror.containers.values()
    mirror.usage.add([usage(web.ref, memory_limit=None, throttled_seconds=None, swap=0)])
    text = page(mirror)
    assert value(text, "container_memory_swap_bytes", name="web") == 0
    assert value(text, "container_spec_memory_limit_bytes", name="web") is None
    assert value(text, "container_cpu_cfs_throttled_seconds_total", name="web") is None
    assert value(text, "container_cpu_usage_seconds_total", name="web") == 1234.5


def test_what_no_counter_can_be_has_no_series() -> None:
    """A broken engine does not make the page invalid."""
    mirror = mirror_of(row("web", restarts=-1))
    (web,) = mirror.containers.values()
    mirror.usage.add(
        [usage(web.ref, cpu_seconds=-1.0, throttled_seconds=float("nan"), oom_kills=-(1 << 63), swap=1 << 70)]
    )
    text = page(mirror, form=Format.OPENMETRICS)
    found = {sample.name for family in openmetrics_families(text) for sample in family.samples}
    assert "quarterdeck_container_memory_swap_bytes" in found
    for family in ("restarts", "cpu_usage_seconds", "cpu_cfs_throttled_seconds", "oom_events"):
        assert f"quarterdeck_container_{family}_total" not in found


def test_the_usage_of_an_ended_container_and_of_an_engine_that_is_not_read_goes() -> None:
    at = [NOW]
    mirror = Mirror(FakeRuntime("host7", kind="docker"), now=lambda: at[0])
    mirror.stream_opened(0)
    web, db = row("web"), row("db")
    mirror.replace([web, db], 1)
    mirror.usage.interval = 15
    mirror.usage.add([usage(web.ref), usage(db.ref)])
    mirror.usage.add([usage(web.ref)])
    assert value(page(mirror), "container_threads", name="web") == 7
    assert value(page(mirror), "container_threads", name="db") is None
    mirror.replace([], 2)
    assert value(page(mirror), "container_threads", name="web") is None
    at[0] -= 60
    mirror.usage.add([usage(web.ref)])
    mirror.replace([web], 3)
    assert value(page(mirror), "container_threads", name="web") is None


def test_a_hostile_name_stays_one_label() -> None:
    bad = row('x"} 1\nquarterdeck_up{a="\\')
    mirror = mirror_of(bad)
    mirror.usage.add([usage(bad.ref)])
    assert len([key for key in samples(page(mirror)) if key[0] == "container_threads"]) == 1
