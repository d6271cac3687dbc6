"""Declares the variables of the dashboards: the data source, hosts, engines, projects, containers and others.

A variable offers what Prometheus has at the time range of the dashboard. "All" is `.*`, so it also finds series without
the label.
"""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from charts.dashboards.queries import SELECTED

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
ALL = models.VariableOption(selected=True, text="All", value="$__all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable with the values of a label. `many`: whether several values can be chosen, and all. `hidden`: it only
    keeps its value for the links to other dashboards."""

    name: str
    label: str
    text: str
    query: str
    many: bool = True
    hidden: bool = False

    def builder(self) -> Builder[models.VariableModel]:
        query: dict[str, object] = {"query": self.query, "refId": f"Variable-{self.name}"}
        made = (
            builders.QueryVariable(self.name)
            .id(self.name)
            .label(self.label)
            .description(self.text)
            .datasource(SOURCE)
            .query(query)
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
            .multi(self.many)
            .include_all(self.many)
        )
        if self.hidden:
            made.hide(models.VariableHide.HIDE_VARIABLE)
        return made.all_value(".*").current(ALL) if self.many else made


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource(Variable):
    """The Prometheus that has the metrics. `query`: the kind of the data source."""

    def builder(self) -> Builder[models.VariableModel]:
        return (
            builders.DatasourceVariable(self.name)
            .id(self.name)
            .label(self.label)
            .description(self.text)
            .type(self.query)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Address(Variable):
    """An address that links use, which people can change. `query`: the address at first."""

    def builder(self) -> Builder[models.VariableModel]:
        value = models.VariableOption(selected=True, text=self.query, value=self.query)
        made = builders.TextBoxVariable(self.name).id(self.name).label(self.label).description(self.text)
        return made.default_value(self.query).current(value).options([value]).hide(models.VariableHide.HIDE_VARIABLE)


def values(metric: str, label: str, selector: str = "") -> str:
    return f"label_values({metric}{{{selector}}}, {label})" if selector else f"label_values({metric}, {label})"


COMMON = (
    DataSource(
        name="datasource", label="Data source", text="The Prometheus that scrapes Quarterdeck", query="prometheus"
    ),
    Variable(name="host", label="Host", text="Hosts of the engines", query=values("quarterdeck_engine_up", "host")),
    Variable(
        name="engine",
        label="Engine",
        text="Kinds of engines, with their names",
        query=values("quarterdeck_engine_up", "engine", 'host=~"$host"'),
    ),
)
PROJECT = Variable(
    name="project",
    label="Project",
    text="Compose projects, stacks and namespaces of pods",
    query=values("quarterdeck_container_info", "project", SELECTED),
)
_CONTAINER_QUERY = values("quarterdeck_container_info", "name", f'{SELECTED}, project=~"$project"')
CONTAINERS = Variable(name="container", label="Container", text="Names of containers", query=_CONTAINER_QUERY)
CONTAINER = Variable(
    name="container", label="Container", text="The name of the container", query=_CONTAINER_QUERY, many=False
)
PROCESS = Variable(
    name="instance",
    label="Process",
    text="Processes of Quarterdeck, as Prometheus names them",
    query=values("quarterdeck_build_info", "instance"),
)
RULE = Variable(name="rule", label="Rule", text="Rules that fired", query=values("quarterdeck_alerts_total", "rule"))
TEAM = Variable(
    name="team",
    label="Team",
    text="Teams named by the label quarterdeck.team of containers",
    query=values("quarterdeck_incident_resolve_seconds_count", "team"),
)
