"""Assembles a dashboard from its variables, annotations, links and rows of panels.

Panels are numbered in their order, from 1. In a row they stand side by side; on a phone, Grafana shows one below the
other in the same order. Every dashboard has the same links: to the others, with the values of the variables and the
time range, to the documentation and into Slack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from charts.dashboards import links
from charts.dashboards.annotations import Annotation
from charts.dashboards.panels import Panel
from charts.dashboards.variables import COMMON, Variable

COLUMNS = 24  # of Grafana's grid
TAG = "quarterdeck"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A title and the panels below it. They share the width, as far as none has a width of its own."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard. `name`: of its file. `hours`: the time range at first. `by_engine`: whether hosts and engines can
    be selected; without, their values are only kept for the links."""

    name: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    annotations: Sequence[Annotation] = ()
    hours: int = 3
    by_engine: bool = True

    @property
    def uid(self) -> str:
        return links.dashboard_uid(self.name)

    def build(self) -> models.Dashboard:
        builder = (
            builders.Dashboard(f"Quarterdeck / {self.title}")
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .timezone("browser")
            .time(f"now-{self.hours}h", "now")
            .refresh("30s")
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
        )
        common = COMMON if self.by_engine else [replace(one, hidden=one.name != "datasource") for one in COMMON]
        for variable in (*common, *self.variables, *links.VARIABLES):
            builder.with_variable(variable.builder())
        for link in links.of_dashboard(TAG):
            builder.link(link)
        built = builder.build()
        built.annotations.list_val = [annotation.build() for annotation in self.annotations]
        built.panels = self._panels()
        return built

    def _panels(self) -> list[models.Panel | models.RowPanel]:
        placed: list[models.Panel | models.RowPanel] = []
        y = 0
        for row in self.rows:
            title = models.RowPanel(
                title=row.title, id_val=len(placed) + 1, grid_pos=models.GridPos(h=1, w=COLUMNS, x=0, y=y)
            )
            placed.append(title)
            y += 1
            x = height = 0
            for panel in row.panels:
                width = panel.width
                if x + width > COLUMNS:
                    x, y, height = 0, y + height, 0
                position = models.GridPos(h=panel.height, w=width, x=x, y=y)
                placed.append(panel.build(len(placed) + 1, position))
                x, height = x + width, max(height, panel.height)
            y += height
        return placed
