"""Declares annotations: times that Prometheus knows, as lines on every graph of a dashboard.

Prometheus' own settings of an annotation are not in the SDK's model, so `PrometheusAnnotation` adds them: the time is
the value of the series in milliseconds, and the title and the text are templates with its labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from grafana_foundation_sdk.models import dashboard as models

from charts.dashboards.variables import SOURCE

_SETTINGS = ("step", "tagKeys", "textFormat", "titleFormat", "useValueForTime")


class PrometheusAnnotation(models.AnnotationQuery):
    """An annotation with the settings of Grafana's Prometheus data source."""

    settings: dict[str, Any]

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), **self.settings}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        made = super().from_json(data)
        made.settings = {name: data[name] for name in _SETTINGS if name in data}
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One kind of times. `query`: series whose values are times in seconds since the epoch. `title`, `text`: templates
    such as `{{name}} ended`."""

    name: str
    query: str
    title: str
    text: str
    color: str

    def build(self) -> PrometheusAnnotation:
        made = PrometheusAnnotation(
            name=self.name, datasource=SOURCE, icon_color=self.color, expr=f"({self.query}) * 1000"
        )
        made.settings = {
            "step": "30s",
            "tagKeys": "engine,host",
            "textFormat": self.text,
            "titleFormat": self.title,
            "useValueForTime": True,
        }
        return made
