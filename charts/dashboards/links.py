"""Declares the links of dashboards and panels: to other dashboards, to runbooks, to the documentation and into Slack.

The addresses of the documentation and of Slack are hidden variables of each dashboard, `docs` and `slack`. They can be
changed in the settings of a dashboard, in a link (`&var-slack=…`), and by whoever provisions the files. `DOCS` is a
folder with the Markdown files of `docs/`, as a server of the repository shows them.
"""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from charts.dashboards.variables import Address, Variable

DOCS = "https://quarterdeck.example/docs"
SLACK = "https://app.slack.com/client"
VARIABLES: tuple[Variable, ...] = (
    Address(
        name="docs", label="Documentation", text="The address of Quarterdeck's folder docs/ on a web server", query=DOCS
    ),
    Address(
        name="slack",
        label="Slack",
        text="The channel of the incidents: https://app.slack.com/client/TEAM/CHANNEL",
        query=SLACK,
    ),
)
_RANGE = "${__url_time_range}"
Link = Builder[models.DashboardLink]


def dashboard_uid(name: str) -> str:
    """Returns the id of a dashboard in addresses, which must be the same in every Grafana."""
    return f"quarterdeck-{name}"


def of_dashboard(tag: str) -> Sequence[Link]:
    """Returns the links at the top of every dashboard."""
    others = (
        builders.DashboardLink("Quarterdeck")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([tag])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
        .tooltip("The other dashboards, with the same hosts, engines and times")
    )
    return (
        others,
        _outside("Runbooks", "${docs}/runbooks", "What to do for each alert"),
        _outside("Metrics", "${docs}/metrics.md", "What each metric means"),
        _outside("Slack", "${slack}", "The channel of the incidents"),
    )


def runbook(alert: str) -> Link:
    """Returns the link to the runbook of an alert, by the name of its file without the ending."""
    return _outside(f"Runbook: {alert.replace('-', ' ')}", f"${{docs}}/runbooks/{alert}.md", "What to do")


def slack() -> Link:
    return _outside("Open Slack", "${slack}", "The channel of the incidents")


def document(title: str, page: str) -> Link:
    """Returns the link to a page of the documentation, such as `alerts.md`."""
    return _outside(title, f"${{docs}}/{page}", "")


def to_dashboard(title: str, name: str, *variables: str, **fields: str) -> Link:
    """Returns the link to another dashboard. `variables` keep their values; `fields`: the value of a variable from a
    column or a label of what was clicked, such as `host="${__field.labels.host}"`."""
    kept = [f"${{{variable}:queryparam}}" for variable in ("datasource", *variables)]
    taken = [f"var-{variable}={value}" for variable, value in fields.items()]
    return (
        builders.DashboardLink(title)
        .type(models.DashboardLinkType.LINK)
        .url(f"/d/{dashboard_uid(name)}?{'&'.join([*kept, *taken, _RANGE])}")
    )


def _outside(title: str, url: str, tooltip: str) -> Link:
    return (
        builders.DashboardLink(title)
        .type(models.DashboardLinkType.LINK)
        .icon("external link")
        .tooltip(tooltip)
        .url(url)
        .target_blank(True)
    )


TO_CONTAINER = to_dashboard(
    "Show the container",
    "container",
    host="${__field.labels.host}",
    engine="${__field.labels.engine}",
    container="${__field.labels.name}",
)
ROW_TO_CONTAINER = to_dashboard(
    "Show the container",
    "container",
    host="${__data.fields.host}",
    engine="${__data.fields.engine}",
    container="${__data.fields.name}",
)
