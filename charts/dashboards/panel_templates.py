"""Makes panels that several dashboards share, so that the same kind of fact looks the same everywhere.

`more`: other settings of the panel, such as links. `by`: labels, each value of which is a series of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charts.dashboards import links
from charts.dashboards.links import Link
from charts.dashboards.panels import GREEN, MUST_BE_ONE, NONE_IS_GOOD, RED, SHARE, Graph, Query, Stat
from charts.dashboards.queries import SELECTED, once, or_zero, per_minute, quantile

ENGINE = ("host", "engine")
ON = "{{engine}} on {{host}}"
NO_YES = {0: ("no", RED), 1: ("yes", GREEN)}
USUAL_PARTS = ((0.5, "50 %"), (0.95, "95 %"))
DATA_ROOT = f"1 - quarterdeck_data_root_free_bytes{{{SELECTED}}} / quarterdeck_data_root_size_bytes{{{SELECTED}}}"


def make_count_panel(title: str, text: str, query: str, **more: Any) -> Stat:
    """How many series a query finds, or 0. Red if there is one, unless `more` says otherwise."""
    return Stat(title=title, text=text, queries=[Query(expr=or_zero(f"count({query})"))], **_red(more))


def in_shown_time(title: str, text: str, query: str, **more: Any) -> Stat:
    """A whole number of what happened in the shown time, or 0. Red from 1 on, unless `more` says otherwise."""
    return Stat(title=title, text=text, queries=[Query(expr=or_zero(query))], decimals=0, **_red(more))


def yes_or_no(title: str, text: str, query: str, *panel_links: Link) -> Stat:
    """Whether something holds; red if it does not."""
    return Stat(
        title=title,
        text=text,
        queries=[Query(expr=query)],
        names=NO_YES,
        base=RED,
        thresholds=MUST_BE_ONE,
        links=panel_links,
    )


def fullest_disk() -> Stat:
    return Stat(
        title="Fullest disk",
        text="Used part of the fullest file system that has data of an engine. Yellow: from 80 %. Red: from 90 %.",
        queries=[Query(expr=f"max({DATA_ROOT})")],
        unit="percentunit",
        decimals=0,
        thresholds=SHARE,
        links=(links.runbook("engine-disk-nearly-full"),),
    )


def counted(title: str, text: str, counter: str, *by: str, selector: str, **more: Any) -> Graph:
    """How much a counter grows in a minute, as stacked bars. `counter`: without `quarterdeck_`."""
    legend = more.pop("legend", " ".join(f"{{{{{one}}}}}" for one in by))
    query = Query(expr=per_minute(f"quarterdeck_{counter}", *by, selector=selector), legend=legend)
    return Graph(title=title, text=text, queries=[query], unit="cpm", as_bars=True, stacked=True, **more)


def counters_of_engines(title: str, text: str, *counters: tuple[str, str], **more: Any) -> Graph:
    """How much counters of each engine grow in a minute. `counters`: each without `quarterdeck_` and `_total`, and its
    name."""
    queries = [
        Query(expr=per_minute(f"quarterdeck_{counter}_total", *ENGINE, selector=SELECTED), legend=f"{name} · {ON}")
        for counter, name in counters
    ]
    return Graph(title=title, text=text, queries=queries, unit="cpm", **more)


def durations(
    title: str,
    text: str,
    histogram: str,
    *by: str,
    selector: str,
    parts: Sequence[tuple[float, str]] = USUAL_PARTS,
    **more: Any,
) -> Graph:
    """Times that a part of what was measured does not exceed. `histogram`: without `quarterdeck_`. `parts`: each with its
    name; a single one needs none."""
    labels = more.pop("legend", " · ".join(f"{{{{{one}}}}}" for one in by))
    name_first = more.pop("name_first", False)
    queries = []
    for part, name in parts:
        words = [word for word in ((name, labels) if name_first else (labels, name)) if word]
        expr = quantile(part, f"quarterdeck_{histogram}", selector, *by)
        queries.append(Query(expr=expr, legend=" · ".join(words)))
    return Graph(title=title, text=text, queries=queries, unit="s", **more)


def gauge_of_engines(metric: str) -> str:
    """The query of a gauge of each engine, without `quarterdeck_`."""
    return once(f"quarterdeck_{metric}{{{SELECTED}}}", *ENGINE)


def gauges_of_engines(title: str, text: str, *metrics: tuple[str, str], unit: str = "short") -> Graph:
    """Gauges of each engine, each with a name."""
    queries = [
        Query(expr=gauge_of_engines(metric), legend=f"{name} · {ON}" if name else ON) for metric, name in metrics
    ]
    return Graph(title=title, text=text, queries=queries, unit=unit)


def _red(more: dict[str, Any]) -> dict[str, Any]:
    return more if "base" in more else {"thresholds": NONE_IS_GOOD} | more
