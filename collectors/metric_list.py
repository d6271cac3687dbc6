"""Lists all metric families of the metrics page, as text, as Markdown or as JSON, without any engine.

The list comes from the declarations: those of `core.metrics`, and `families` of each scraper. The labels of a family
show what its series describe. So the Markdown has one table for containers, one for engines and one for the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from collectors import exposition
from core import metrics
from core.metric_families import CONTAINER_LABELS, ENGINE_LABELS, PREFIX, Family, ListFormat


def list_families() -> Sequence[Family]:
    """Returns the families of the page by name, with those of scrapers that run by default."""
    scraped = [family for scraper in exposition.discover() if scraper.on for family in scraper.families]
    families = [*metrics.Metrics().families, *scraped]
    exposition.check_names(families)
    return sorted(families, key=lambda family: family.name)


def render(families: Sequence[Family], form: ListFormat) -> str:
    match form:
        case ListFormat.TEXT:
            return _text(families)
        case ListFormat.MARKDOWN:
            return _markdown(families)
        case ListFormat.JSON:
            rows = [
                {"name": one.name, "type": one.kind, "labels": one.labels, "unit": one.unit, "meaning": one.text}
                for one in families
            ]
            return json.dumps(rows, indent=2)


def _text(families: Sequence[Family]) -> str:
    """One line for each family, so that `grep` finds all that it says."""
    rows = [("NAME", "TYPE", "LABELS", "MEANING")]
    rows += [(one.name, one.kind, ",".join(one.labels) or "-", one.text) for one in families]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[3]]) for row in rows)


def _markdown(families: Sequence[Family]) -> str:
    containers = [one for one in families if one.labels[:3] == CONTAINER_LABELS]
    engines = [one for one in families if one.labels[:2] == ENGINE_LABELS and one not in containers]
    own = [one for one in families if one.labels[:2] != ENGINE_LABELS and one.name.startswith(f"{PREFIX}_")]
    process = [one for one in families if not one.name.startswith(f"{PREFIX}_")]
    parts = []
    for title, group, implied in (
        ("Containers", containers, CONTAINER_LABELS),
        ("Engines", engines, ENGINE_LABELS),
        ("Quarterdeck itself", own, ()),
        ("The process", process, ()),
    ):
        common = f"All have the labels {_labels(implied)}.\n\n" if implied else ""
        lines = [
            f"### {title}\n\n{common}| name | type | {'more ' if implied else ''}labels | meaning |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{one.name}` | {one.kind} | {_labels(one.labels[len(implied) :])} | {one.text} |" for one in group
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _labels(labels: Sequence[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)
