"""Declares the panels of a dashboard: single values, graphs, bars, timelines and tables, with the same looks.

Every panel has a title, a description, a unit and its queries. Thresholds are pairs of a value, from which on they
hold, and a colour; the description says what each colour means. All panels can be read at the width of a phone: the
legend is below the graph, and a table has few columns, the most important ones first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from charts.dashboards.links import Link
from charts.dashboards.variables import SOURCE

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"
Steps = Sequence[tuple[float, str]]
NONE_IS_GOOD: Steps = ((1, RED),)
NONE_IS_BEST: Steps = ((1, YELLOW),)
MUST_BE_ONE: Steps = ((1, GREEN),)
SHARE: Steps = ((0.8, YELLOW), (0.9, RED))
_REF_IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query. `legend`: a template such as `{{engine}} on {{host}}`. `name`: the column of its values in a table."""

    expr: str
    legend: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What all panels have. `text`: what it shows, and what its colours mean. `base`: the colour below all thresholds.
    `width`: of the 24 columns of the grid. `data_links`: of each value, `links`: of the panel."""

    title: str
    text: str
    queries: Sequence[Query]
    unit: str = "short"
    decimals: int | None = None
    thresholds: Steps = ()
    base: str = GREEN
    names: Mapping[int, tuple[str, str]] = field(default_factory=dict)  # value → text and colour
    links: Sequence[Link] = ()
    data_links: Sequence[Link] = ()
    width: int = 12
    height: int = 8

    instant = False

    def build(self, number: int, position: models.GridPos) -> models.Panel:
        builder = self._builder()
        builder.id(number).title(self.title).description(self.text).grid_pos(position).datasource(SOURCE).unit(
            self.unit
        )
        steps = [
            models.Threshold(color=self.base),
            *(models.Threshold(value, color) for value, color in self.thresholds),
        ]
        builder.thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
        if self.decimals is not None:
            builder.decimals(self.decimals)
        if self.names:
            results = {
                str(value): models.ValueMappingResult(text=text, color=color, index=index)
                for index, (value, (text, color)) in enumerate(self.names.items())
            }
            builder.mappings([models.ValueMap(options=results)])
        if self.links:
            builder.links(list(self.links))
        if self.data_links:
            builder.data_links(list(self.data_links))
        builder.targets([self._target(each, query) for each, query in zip(_REF_IDS, self.queries, strict=False)])
        built: models.Panel = builder.build()
        return built

    def _target(self, ref_id: str, query: Query) -> prometheus.Dataquery:
        target = prometheus.Dataquery().ref_id(ref_id).expr(query.expr).legend_format(query.legend or "__auto")
        return target.instant() if self.instant else target.range()

    def _builder(self) -> Any:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat(Panel):
    """The current value of each series, large. `shows_name`: the legend instead of the value."""

    width: int = 4
    height: int = 4
    shows_name: bool = False
    no_value: str = ""

    instant = True

    def _builder(self) -> Any:
        made = (
            stat.Panel()
            .color_mode(looks.BigValueColorMode.VALUE)
            .graph_mode(looks.BigValueGraphMode.NONE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
            .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        )
        if self.shows_name:
            made.text_mode(looks.BigValueTextMode.NAME)
        return made.no_value(self.no_value) if self.no_value else made


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph(Panel):
    """Values over time. `stacked`: on top of each other. `as_bars`: for what is counted in each interval. With
    thresholds, lines show them."""

    stacked: bool = False
    as_bars: bool = False
    minimum: float | None = 0
    maximum: float | None = None

    def _builder(self) -> Any:
        legend = (
            common.VizLegendOptions()
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        tooltip = common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
        made = (
            timeseries.Panel()
            .legend(legend)
            .tooltip(tooltip)
            .draw_style(looks.GraphDrawStyle.BARS if self.as_bars else looks.GraphDrawStyle.LINE)
            .fill_opacity(60 if self.stacked or self.as_bars else 10)
            .line_width(1)
            .show_points(looks.VisibilityMode.NEVER)
            .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        )
        if self.minimum is not None:
            made.min(self.minimum)
        if self.maximum is not None:
            made.max(self.maximum)
        if self.stacked:
            made.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
        if self.thresholds:
            style = common.GraphThresholdsStyleConfig().mode(looks.GraphTresholdsStyleMode.DASHED)
            made.thresholds_style(style)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars(Panel):
    """The current value of each series, as a bar with its name above it."""

    maximum: float | None = None
    instant = True

    def _builder(self) -> Any:
        made = (
            bargauge.Panel()
            .display_mode(looks.BarGaugeDisplayMode.BASIC)
            .orientation(looks.VizOrientation.HORIZONTAL)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
            .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
            .min(0)
        )
        return made if self.maximum is None else made.max(self.maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline(Panel):
    """States over time: a coloured bar for each series. `names` has the states."""

    def _builder(self) -> Any:
        legend = common.VizLegendOptions().placement(looks.LegendPlacement.BOTTOM).show_legend(True)
        return (
            statetimeline.Panel()
            .merge_values(True)
            .fill_opacity(70)
            .line_width(0)
            .show_value(looks.VisibilityMode.AUTO)
            .row_height(0.8)
            .legend(legend.display_mode(looks.LegendDisplayMode.LIST))
            .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How a column of a table is shown. `name`: of the label, or of the query. `title`: above it."""

    name: str
    title: str
    unit: str = ""
    decimals: int | None = None
    thresholds: Steps = ()
    base: str = GREEN
    names: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    links: Sequence[Link] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """The current series as rows. `columns`: those that are shown, in this order; several queries are joined by the
    labels that they share."""

    columns: Sequence[Column] = ()
    sort_by: str = ""
    width: int = 24
    instant = True

    def _target(self, ref_id: str, query: Query) -> prometheus.Dataquery:
        return Panel._target(self, ref_id, query).format(PromQueryFormat.TABLE)

    def _builder(self) -> Any:
        fields = self._fields()
        positions = {fields[column.name]: place for place, column in enumerate(self.columns)}
        made = table.Panel().show_header(True)
        if len(self.queries) > 1:
            made.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        made.with_transformation(
            models.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(positions)}})
        )
        titles = {fields[column.name]: column.title for column in self.columns}
        made.with_transformation(
            models.DataTransformerConfig(
                id_val="organize", options={"excludeByName": {}, "indexByName": positions, "renameByName": titles}
            )
        )
        for column in self.columns:
            made.override_by_name(column.title, _properties(column))
        if self.sort_by:
            made.sort_by([common.TableSortByFieldState().display_name(self.sort_by).desc(True)])
        return made

    def _fields(self) -> dict[str, str]:
        """The name that Grafana gives to each column: labels have their own, values of several queries have letters."""
        many = len(self.queries) > 1
        values = {
            query.name: f"Value #{ref_id}" if many else "Value"
            for ref_id, query in zip(_REF_IDS, self.queries, strict=False)
            if query.name
        }
        return {column.name: values.get(column.name, column.name) for column in self.columns}


def _properties(column: Column) -> list[models.DynamicConfigValue]:
    properties: dict[str, object] = {}
    if column.unit:
        properties["unit"] = column.unit
    if column.decimals is not None:
        properties["decimals"] = column.decimals
    if column.thresholds or column.names:
        steps = [{"color": column.base, "value": None}, *({"color": c, "value": v} for v, c in column.thresholds)]
        properties["thresholds"] = {"mode": "absolute", "steps": steps}
        properties["custom.cellOptions"] = {"type": "color-text"}
    if column.names:
        options = {
            str(value): {"color": color, "index": index, "text": text}
            for index, (value, (text, color)) in enumerate(column.names.items())
        }
        properties["mappings"] = [{"type": "value", "options": options}]
    if column.links:
        properties["links"] = [link.build().to_json() for link in column.links]
    return [models.DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()]
