"""Writes the ratios of a run as a Mermaid chart, which GitHub and other Markdown viewers draw.

There is one bar for each table that has a row of docker-py or prometheus_client: how many times better ours is, in the
best round of each. A bar below 1 means that ours is worse. Bars are cut at MOST, so that the others can be read; their
names then say the ratio.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.harness import best_ratio

OTHERS = ("docker-py", "prometheus_client")
MOST = 10.0


def mermaid(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """`figures`: the tables of each figure, as `Table.as_data` returns them."""
    bars = list(_bars(table for tables in figures.values() for table in tables))
    lines = [
        "```mermaid",
        "xychart-beta horizontal",
        '    title "Times better than docker-py or prometheus_client"',
        f"    x-axis {json.dumps([name for name, _ in bars], ensure_ascii=False)}",
        f'    y-axis "times" 0 --> {MOST:g}',
        f"    bar [{', '.join(f'{min(value, MOST):.2f}' for _, value in bars)}]",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _bars(tables: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    for table in tables:
        ours = table["rows"][table["ours"]]
        for name, values in table["rows"].items():
            if name.startswith(OTHERS) and table["compared"] and len(values) == len(ours):
                better = best_ratio(ours, values, more_is_better=table["more_is_better"])
                title = f"{table['short']}, {name}" if name not in OTHERS else table["short"]
                yield (f"{title}: {better:.0f}" if better > MOST else title), better
