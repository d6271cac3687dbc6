"""The registry of counted families: their list, and the removal of an engine's series."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from core.metric_families import ENGINE_LABELS, Format
from core.metric_registry import OPENMETRICS_END, MetricRegistry


def engines(registry: MetricRegistry) -> dict[str, set[str]]:
    """The engines with series, by family."""
    text = (registry.render(Format.OPENMETRICS) + OPENMETRICS_END).decode()
    return {
        family.name: {sample.labels.get("engine", "") for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def filled() -> MetricRegistry:
    registry = MetricRegistry()
    ends = registry.counter("ends_total", "Ends", *ENGINE_LABELS, "cause")
    up = registry.gauge("up", "1 if it is up, else 0", *ENGINE_LABELS)
    took = registry.histogram("list_seconds", "Duration, in seconds", (0.1, 1.0), *ENGINE_LABELS)
    about = registry.info("engine", "Version; always 1", *ENGINE_LABELS, about=("version",))
    registry.counter("commands_total", "Commands", "command").labels("ps").inc()
    for engine in ("docker", "podman"):
        ends.labels("h", engine, "crashed").inc()
        up.labels("h", engine).set(1)
        took.labels("h", engine).observe(0.5)
        about.labels("h", engine).info({"version": "1"})
        about.labels("h", engine).info({"version": "2"})
    return registry


def test_families_are_listed_as_declared_with_those_of_the_process() -> None:
    registry = filled()
    registry.add_process()
    listed = {family.name: (family.kind, family.labels, family.unit) for family in registry.families}
    assert listed["quarterdeck_ends_total"] == ("counter", ("host", "engine", "cause"), "")
    assert listed["quarterdeck_list_seconds"] == ("histogram", ("host", "engine"), "seconds")
    assert listed["quarterdeck_engine_info"] == ("info", ("host", "engine", "version"), "")
    assert listed["process_cpu_seconds_total"] == ("counter", (), "seconds")


def test_an_info_has_one_series_for_each_engine_whatever_its_version_was() -> None:
    text = filled().render(Format.TEXT).decode()
    assert text.count("quarterdeck_engine_info{") == 2 and 'version="1"' not in text


def test_the_series_of_an_engine_go_with_it_in_every_kind_of_family() -> None:
    named = ("quarterdeck_ends", "quarterdeck_up", "quarterdeck_list_seconds", "quarterdeck_engine")
    registry = filled()
    assert all(engines(registry)[name] == {"docker", "podman"} for name in named)
    registry.remove_engine("h", "docker")
    assert all(engines(registry)[name] == {"podman"} for name in named)
    registry.keep_engines({("h", "containerd")})
    assert all(engines(registry)[name] == set() for name in named)
    assert engines(registry)["quarterdeck_commands"] == {""}
