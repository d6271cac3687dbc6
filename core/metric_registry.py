"""Creates counters, gauges and histograms of the Prometheus client library from declarations, removes series, and
renders the metrics page.

Each metric also has a `core.metric_families.Family`, so that all metrics can be listed and documented.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from core.metric_families import ENGINE_LABELS, PREFIX, Family, Format

OPENMETRICS_END = b"# EOF\n"


class MetricRegistry:
    """Holds one registry of the library, `registry` or a new one; never the library's global registry. Names are
    declared without the prefix."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        # `_created` series would double the number of series; process_start_time_seconds has the start time.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry() if registry is None else registry
        self._counted: list[tuple[Family, Counter | Gauge | Histogram | Info]] = []
        self._library: tuple[Collector, ...] = ()

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        family = Family(name=f"{PREFIX}_{name}", kind="counter", text=text, labels=labels)
        counter = Counter(name, text, labels, namespace=PREFIX, unit=family.unit, registry=self.registry)
        self._counted.append((family, counter))
        return counter

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        family = Family(name=f"{PREFIX}_{name}", kind="gauge", text=text, labels=labels)
        gauge = Gauge(name, text, labels, namespace=PREFIX, unit=family.unit, registry=self.registry)
        self._counted.append((family, gauge))
        return gauge

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        family = Family(name=f"{PREFIX}_{name}", kind="histogram", text=text, labels=labels)
        histogram = Histogram(
            name, text, labels, namespace=PREFIX, unit=family.unit, registry=self.registry, buckets=buckets
        )
        self._counted.append((family, histogram))
        return histogram

    def info(self, name: str, text: str, *labels: str, about: tuple[str, ...]) -> Info:
        """Declares an info; `name` without `_info`. `about`: the labels that do not identify a series, and are set with
        `.labels(…).info(…)`."""
        family = Family(name=f"{PREFIX}_{name}_info", kind="info", text=text, labels=(*labels, *about))
        info = Info(name, text, labels, namespace=PREFIX, registry=self.registry)
        self._counted.append((family, info))
        return info

    def add_process(self) -> None:
        """Adds the library's own families about the process and Python."""
        process = prometheus_client.ProcessCollector(registry=self.registry)
        self._library = (process, prometheus_client.PlatformCollector(registry=self.registry))

    @property
    def families(self) -> Sequence[Family]:
        """All families, with those of the library about the process."""
        found = [family for family, _ in self._counted]
        for metric in [one for collector in self._library for one in collector.collect()]:
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            labels = tuple(metric.samples[0].labels)
            found.append(Family(name=name, kind=metric.type, text=metric.documentation, labels=labels))
        return found

    def remove_engine(self, host: str, engine: str) -> None:
        """Removes every series of an engine that is not watched any more."""
        self._remove(lambda labels: labels == (host, engine))

    def keep_engines(self, watched: Collection[tuple[str, str]]) -> None:
        """Removes the series of all engines that are not among `watched`: the values of `host` and `engine`."""
        self._remove(lambda labels: labels not in watched)

    def _remove(self, unwanted: Callable[[tuple[str, str]], bool]) -> None:
        for family, counted in self._counted:
            if family.labels[:2] != ENGINE_LABELS:
                continue
            # The library removes by position; the `le` of a bucket and what an info sets do not identify a series.
            names = ENGINE_LABELS if family.kind == "info" else family.labels
            samples = [sample for metric in counted.collect() for sample in metric.samples]
            for values in {tuple(sample.labels[name] for name in names) for sample in samples}:
                if unwanted((values[0], values[1])):
                    counted.remove(*values)

    def render(self, form: Format) -> bytes:
        """Renders the registry. An OpenMetrics page must still be ended with OPENMETRICS_END."""
        if form is Format.TEXT:
            return prometheus_client.generate_latest(self.registry)
        return openmetrics.generate_latest(self.registry).removesuffix(OPENMETRICS_END)  # type: ignore[no-untyped-call, no-any-return]
