"""Which containers have series: the limit of an engine, what it logs, and the length of labels."""

from __future__ import annotations

import msgspec
import structlog

from collectors.shown_containers import ContainerSelection
from core import metrics
from core.model.resource_usage import Usage
from tests.unit.collectors.test_metrics_page import NOW, Options, mirror_of, page, row, samples, value


def test_state_and_usage_show_the_same_containers_at_the_limit() -> None:
    rows = [row(f"web{number}", created_at=NOW - number) for number in range(5)]
    mirror = mirror_of(*rows)
    mirror.usage.add([Usage(ref=each.ref, cpu_seconds=1.0) for each in reversed(rows)])
    found = samples(page(mirror, options=Options(max_containers=2)))
    for family in ("container_info", "container_cpu_usage_seconds_total"):
        assert {dict(labels)["name"] for name, labels in found if name == family} == {"web0", "web1"}


def test_each_engine_has_its_own_limit() -> None:
    fleet = [
        mirror_of(*[row(f"{host}-{number}") for number in range(3)], host=host, kind=kind)
        for host, kind in (("a", "docker"), ("a", "podman"), ("b", "cri"))
    ]
    text = page(*fleet, options=Options(max_containers=2))
    for host, kind in (("a", "docker"), ("a", "podman"), ("b", "cri")):
        assert value(text, "container_series_capped", host=host, engine=kind) == 1


def test_the_limit_is_logged_when_it_is_exceeded_and_again_after_it_was_not() -> None:
    many, few = mirror_of(*[row(f"web{number}") for number in range(5)]), mirror_of(row("web"))
    selection = ContainerSelection(max_containers=3)
    with structlog.testing.capture_logs() as logs:
        for mirror in (many, many, few, many):
            selection.select([mirror], NOW)
    assert [(each["engine"], each["left_out"], each["max_containers"]) for each in logs] == [("docker", 2, 3)] * 2
    assert "metrics.max_containers" in logs[0]["hint"]


def test_of_two_containers_with_one_name_the_usage_is_that_of_the_younger() -> None:
    older, younger = row("web", created_at=1.0), row("web", created_at=2.0)
    younger = msgspec.structs.replace(younger, ref=msgspec.structs.replace(older.ref, id="f" * 64))
    mirror = mirror_of(younger, older)
    mirror.usage.add([Usage(ref=younger.ref, cpu_seconds=2.0), Usage(ref=older.ref, cpu_seconds=1.0)])
    assert value(page(mirror), "container_cpu_usage_seconds_total", name="web") == 2.0
    assert value(page(mirror), "container_series_capped") == 0


def test_a_long_name_or_label_is_cut_and_stays_its_own_series() -> None:
    long = "x" * 2000
    labels = {"team": "y" * 100_000}
    text = page(
        mirror_of(row(long + "a", labels=labels, image=long), row(long + "b", labels=labels)),
        options=Options(container_labels=("team",)),
    )
    names = [dict(labels)["name"] for family, labels in samples(text) if family == "container_info"]
    assert len(set(names)) == 2 and {len(name) for name in names} == {metrics.MAX_LABEL_LENGTH}
    assert max(map(len, text.splitlines())) < 5 * metrics.MAX_LABEL_LENGTH
