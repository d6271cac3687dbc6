"""The metrics page of 200 containers: our whole page, and the same series kept and written by prometheus_client.

Ours is written twice: as it stands at most scrapes, when few containers changed since the last one, and by a fresh
exposition that has nothing kept. Both include our own counters, which prometheus_client writes in ours too.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import prometheus_client
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import stage
from benchmarks.harness import Figure, Table, awaited, called, rounds
from collectors import exposition, pipeline
from core import metrics
from runtimes.inventory.mirror import Mirror


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    engine = scene.engine()
    mirror, counts = Mirror(engine), metrics.Metrics()
    async with stage.watching(engine, mirror, pipeline.Pipeline(mirror, counts), counts):
        kept = exposition.Exposition(counts, lambda: [mirror])
        text = kept.render().decode()
        series = sum(1 for line in text.splitlines() if not line.startswith("#"))
        same = registry(text)

        async def anew() -> None:
            exposition.Exposition(counts, lambda: [mirror]).render()

        taken = await rounds(
            {
                "ours": called(kept.render, repeat=5),
                "ours, nothing kept": awaited(anew, repeat=3),
                "prometheus_client": called(lambda: prometheus_client.generate_latest(same), repeat=1),
            },
            times,
            warm=2,
        )
    each = {name: f"{statistics.median(values) * 1000 / series:.2f}" for name, values in taken.items()}
    return [
        Table(
            title=f"scrape: the page of {len(mirror.containers)} containers, {series:,} series, {len(text) >> 10} KiB",
            unit="ms",
            rows=taken,
            ours="ours",
            notes=["µs per series: " + ", ".join(f"{name} {value}" for name, value in each.items())],
        )
    ]


def registry(text: str) -> prometheus_client.CollectorRegistry:
    """The page's own series as the library's counters and gauges, one child for each; its own state is left out of the
    comparison by being in both."""
    found = prometheus_client.CollectorRegistry()
    for family in text_string_to_metric_families(text):
        if family.type == "histogram":
            found.register(Fixed(family))
            continue
        names = sorted({name for sample in family.samples for name in sample.labels})
        gauge = prometheus_client.Gauge(family.name, family.documentation, names, registry=found)
        for sample in family.samples:
            (gauge.labels(**sample.labels) if names else gauge).set(sample.value)
    return found


class Fixed:
    """A collector of one family that stays as it is: histograms cannot be set to counts from outside."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Sequence[Metric]:
        return [self._family]


figure = Figure(name="scrape", summary="the metrics page of 200 containers", rounds=15, measure=measure)
