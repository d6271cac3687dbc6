"""A family's declaration: what it must be, and the lines that it writes in each format."""

from __future__ import annotations

import pytest

from core import metric_families
from core.metric_families import CONTAINER_LABELS, Family, Format


def test_the_lines_before_the_samples_differ_between_the_formats() -> None:
    counted = metric_families.counter(
        "container_cpu_usage_seconds_total", "CPU time used, in seconds", *CONTAINER_LABELS
    )
    assert counted.head(Format.TEXT).decode().splitlines() == [
        "# HELP quarterdeck_container_cpu_usage_seconds_total CPU time used, in seconds",
        "# TYPE quarterdeck_container_cpu_usage_seconds_total counter",
    ]
    assert counted.head(Format.OPENMETRICS).decode().splitlines() == [
        "# HELP quarterdeck_container_cpu_usage_seconds CPU time used, in seconds",
        "# TYPE quarterdeck_container_cpu_usage_seconds counter",
        "# UNIT quarterdeck_container_cpu_usage_seconds seconds",
    ]
    about = metric_families.info("container_info", "Image; always 1", *CONTAINER_LABELS, "image")
    assert about.head(Format.TEXT).decode().splitlines()[1] == "# TYPE quarterdeck_container_info gauge"
    assert about.head(Format.OPENMETRICS).decode().splitlines()[1:] == ["# TYPE quarterdeck_container info"]
    assert metric_families.gauge("containers", "Containers").unit == ""


@pytest.mark.parametrize(
    ("name", "kind", "labels"),
    [
        ("quarterdeck_ends", "counter", ()),
        ("quarterdeck_ends_total", "gauge", ()),
        ("quarterdeck_build", "info", ()),
        ("quarterdeck-x", "gauge", ()),
        ("quarterdeck_x", "gauge", ("name", "host", "engine")),
        ("quarterdeck_x", "gauge", ("engine", "host")),
    ],
)
def test_a_declaration_against_the_conventions_is_refused(name: str, kind: str, labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=name):
        Family(name=name, kind=kind, text="Something", labels=labels)


def test_a_meaning_that_would_break_the_page_is_refused() -> None:
    for text in ("", 'a "word"', "two\nlines"):
        with pytest.raises(ValueError, match="meaning of quarterdeck_x"):
            metric_families.gauge("x", text)
