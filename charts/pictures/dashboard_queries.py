"""Reads the queries of dashboards, and replaces Grafana's variables with values, as Grafana does before it sends a
query.

A query belongs to a panel, an annotation or a variable. Times are in seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "quarterdeck" / "dashboards"
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::\w+)?\}|\$([A-Za-z_]\w*)")
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.*), (?P<label>\w+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardQuery:
    """One query of a dashboard. `where`: the panel, annotation or variable. `instant`: about now, not about a range.
    `label`: the label whose values a variable asks for; empty for others."""

    dashboard: str
    where: str
    expr: str
    instant: bool
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The range that is asked about. `scrape`: seconds between two scrapes, from which `$__rate_interval` follows."""

    begin: float
    end: float
    step: float
    scrape: float

    @property
    def builtin(self) -> dict[str, str]:
        return {
            "__interval": f"{max(1, round(self.step))}s",
            "__rate_interval": f"{max(1, round(max(self.step + self.scrape, 4 * self.scrape)))}s",
            "__range": f"{max(1, round(self.end - self.begin))}s",
        }


def load() -> Sequence[dict[str, Any]]:
    """Returns the committed dashboards by name of the file."""
    return [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]


def panels(dashboard: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Returns the panels of a dashboard without the titles of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Mapping[str, Any]) -> Iterator[DashboardQuery]:
    """All queries of a dashboard, variables first."""
    name = dashboard["uid"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            match = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert match is not None, variable
            yield DashboardQuery(
                dashboard=name, where=f"${variable['name']}", expr=match["series"], instant=True, label=match["label"]
            )
    for annotation in dashboard["annotations"]["list"]:
        yield DashboardQuery(
            dashboard=name, where=f"annotation {annotation['name']}", expr=annotation["expr"], instant=False
        )
    for panel in panels(dashboard):
        for target in panel["targets"]:
            where = f"{panel['title']}, {target['refId']}"
            yield DashboardQuery(dashboard=name, where=where, expr=target["expr"], instant=bool(target["instant"]))


def variables_in(text: str) -> set[str]:
    """The names of the variables that a query or an address uses."""
    return {match[1] or match[2] for match in _VARIABLE.finditer(text)}


def fill(text: str, values: Mapping[str, str]) -> str:
    """Puts values in place of variables. Raises KeyError for one without a value."""
    return _VARIABLE.sub(lambda match: values[match[1] or match[2]], text)
