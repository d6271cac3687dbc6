"""The metrics page of 200 running containers with their usage: our whole page, and the same by prometheus_client.

Ours is written at each scrape after a new reading of the usage, so all of that is new, and the rest is kept from the
scrape before; and by a fresh exposition that has nothing kept. Both include our own counters, which prometheus_client
writes in ours too. The containers and their usage are made up (`benchmarks.synthetic`).
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence

import prometheus_client
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import readers, stage, synthetic
from benchmarks.harness import Figure, Goal, Table, called, rounds
from collectors import exposition


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    async with synthetic.watched(scene.room, stage.CONTAINERS) as side:
        return [await table(side, times)]


async def table(side: readers.Side, times: int) -> Table:
    mirror, counts = side.mirror, side.counts
    refs = [row.ref for row in mirror.containers.values()]
    readings = itertools.count()
    kept = exposition.Exposition(counts, lambda: [mirror])
    mirror.usage.add(synthetic.usage(refs, next(readings)))
    text = kept.render().decode()
    series = sum(1 for line in text.splitlines() if not line.startswith("#"))
    each = sum(1 for line in text.splitlines() if f'name="{refs[0].name}"' in line and not line.startswith("#"))
    same = registry(text)

    def after_a_reading() -> None:
        mirror.usage.latest = {usage.ref.id: usage for usage in synthetic.usage(refs, next(readings))}

    async def ours() -> float:
        after_a_reading()
        return await called(kept.render, clock=time.process_time)()

    async def anew() -> float:
        after_a_reading()
        return await called(exposition.Exposition(counts, lambda: [mirror]).render, clock=time.process_time)()

    taken = await rounds(
        {
            "ours": ours,
            "ours, nothing kept": anew,
            "prometheus_client": called(lambda: prometheus_client.generate_latest(same), clock=time.process_time),
        },
        times,
        warm=2,
    )
    by_series = {name: statistics.median(values) * 1000 / series for name, values in taken.items()}
    return Table(
        title=f"scrape: {len(refs)} running containers, {series:,} series, {each} of each, {len(text) >> 10} KiB",
        unit="ms of CPU",
        rows=taken,
        ours="ours",
        goals=[
            Goal(what="series of each container", found=each, least=24),
            Goal(what="ms", found=statistics.median(taken["ours"]), most=10),
            Goal(what="µs for each series", found=by_series["ours"], most=1),
        ],
        notes=["µs for each series: " + ", ".join(f"{name} {value:.2f}" for name, value in by_series.items())],
    )


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


figure = Figure(name="scrape", summary="the metrics page of 200 running containers", rounds=15, measure=measure)
