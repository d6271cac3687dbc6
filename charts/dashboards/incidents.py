"""Defines the dashboard of incidents: what is open, by rule and team, and how long people need to acknowledge and to
resolve.
"""

from charts.dashboards import links, panel_templates
from charts.dashboards.dashboard import Dashboard, Row
from charts.dashboards.incident_delivery import ALERTS, DELIVERY
from charts.dashboards.panels import (
    BLUE,
    NONE_IS_GOOD,
    RED,
    YELLOW,
    Bars,
    Column,
    Graph,
    Query,
    Stat,
    Table,
)
from charts.dashboards.queries import SELECTED, once, or_zero
from charts.dashboards.variables import RULE, TEAM

INSTANCE_SELECTOR = 'rule=~"$rule", team=~"$team"'
BEGIN = once(
    f"quarterdeck_incident_begin_timestamp_seconds{{{SELECTED}, {INSTANCE_SELECTOR}}}",
    "host", "engine", "kind", "name", "rule", "team", "severity", "state",
)  # fmt: skip
TIMES = {"acknowledge": "acknowledged", "resolve": "resolved"}


def count_open_incidents(by: str = "", selector: str = "") -> str:
    """How many are open, in all or by a label. `selector`: more conditions, each with a comma before it."""
    each = once(f"quarterdeck_incidents_open{{{INSTANCE_SELECTOR}{selector}}}", "rule", "team", "severity", "state")
    return f"sum by ({by}) ({each})" if by else f"sum({each})"


def time_to(what: str, part: float, *by: str) -> str:
    """A quantile of the time until incidents of the shown range were acknowledged or resolved."""
    counted = f"increase(quarterdeck_incident_{what}_seconds_bucket{{{INSTANCE_SELECTOR}}}[$__range])"
    return f"histogram_quantile({part}, sum by ({', '.join((*by, 'le'))}) ({counted})) > 0"


def number(what: str, *by: str) -> str:
    counted = f"increase(quarterdeck_incident_{what}_seconds_count{{{INSTANCE_SELECTOR}}}[$__range])"
    return f"sum by ({', '.join(by)}) ({counted})" if by else f"sum({counted})"


dashboard = Dashboard(
    name="incidents",
    title="Incidents",
    description="Open incidents by rule and team, and the times to acknowledge and to resolve them.",
    variables=(RULE, TEAM),
    hours=24,
    rows=(
        Row(
            title="Now",
            panels=(
                Stat(
                    title="Not acknowledged",
                    text="Open incidents that nobody has acknowledged. Yellow: at least one. Red: at least ten.",
                    queries=[Query(expr=or_zero(count_open_incidents(selector=', state="firing"')))],
                    thresholds=((1, YELLOW), (10, RED)),
                    links=(links.slack(),),
                ),
                Stat(
                    title="Acknowledged",
                    text="Open incidents that somebody has acknowledged.",
                    queries=[Query(expr=or_zero(count_open_incidents(selector=', state="acknowledged"')))],
                    base=BLUE,
                ),
                Stat(
                    title="High severity",
                    text="Open incidents of high severity, which need an action now. Red: at least one.",
                    queries=[Query(expr=or_zero(count_open_incidents(selector=', severity="high"')))],
                    thresholds=NONE_IS_GOOD,
                ),
                Stat(
                    title="Oldest",
                    text="Time since the begin of the oldest open incident. Yellow: from one hour. Red: from one day.",
                    queries=[Query(expr=f"max(time() - {BEGIN})")],
                    unit="s",
                    thresholds=((3600, YELLOW), (86400, RED)),
                    no_value="none",
                ),
                Stat(
                    title="Not posted yet",
                    text="Incidents that are not posted yet, because Slack is unreachable, or because they are "
                    "silenced. Yellow: "
                    "at least one. Red: at least fifty.",
                    queries=[Query(expr="max(quarterdeck_incidents_waiting)")],
                    thresholds=((1, YELLOW), (50, RED)),
                    links=(links.runbook("quarterdeck-incidents-waiting"),),
                ),
                panel_templates.yes_or_no(
                    "Channel is set",
                    "Whether a channel for incidents is set. Red: no. Incidents are not posted. Give the command "
                    "`alerts here` in a channel.",
                    "max(quarterdeck_alert_channel_configured)",
                ),
            ),
        ),
        Row(
            title="Open",
            panels=(
                Table(
                    title="Open incidents",
                    text="Open incidents of the selected hosts and engines, the oldest first; 500 at most. Click a "
                    "name to open the container, or a rule to open its description.",
                    queries=[Query(expr=f"sort_desc(time() - {BEGIN})", name="age")],
                    columns=(
                        Column(name="name", title="Name", links=(links.ROW_TO_CONTAINER,)),
                        Column(name="rule", title="Rule", links=(links.document("About this rule", "alerts.md"),)),
                        Column(name="age", title="Open for", unit="s", thresholds=((3600, YELLOW), (86400, RED))),
                        Column(name="severity", title="Severity"),
                        Column(name="state", title="State"),
                        Column(name="team", title="Team"),
                        Column(name="engine", title="Engine"),
                        Column(name="host", title="Host"),
                    ),
                ),
                Graph(
                    title="Open by rule",
                    text="Open incidents over time, by rule.",
                    queries=[Query(expr=count_open_incidents("rule"), legend="{{rule}}")],
                    stacked=True,
                ),
                Graph(
                    title="Open by team",
                    text="Open incidents over time, by the team that the container's label quarterdeck.team names.",
                    queries=[Query(expr=count_open_incidents("team"), legend="{{team}}")],
                    stacked=True,
                ),
            ),
        ),
        Row(
            title="Times to acknowledge and to resolve",
            panels=(
                *(
                    Stat(
                        title=f"50 % {done} in",
                        text=f"50 % of the incidents in the shown time were {done} in this time or less. Yellow: from "
                        f"{yellow}. Red: from {red}.",
                        queries=[Query(expr=time_to(what, 0.5))],
                        unit="s",
                        thresholds=thresholds,
                        no_value="none yet",
                    )
                    for what, done, yellow, red, thresholds in (
                        ("acknowledge", "acknowledged", "15 minutes", "one hour", ((900, YELLOW), (3600, RED))),
                        ("resolve", "resolved", "four hours", "one day", ((14400, YELLOW), (86400, RED))),
                    )
                ),
                *(
                    Stat(
                        title=f"90 % {done} in",
                        text=f"90 % of the incidents in the shown time were {done} in this time or less.",
                        queries=[Query(expr=time_to(what, 0.9))],
                        unit="s",
                        base=BLUE,
                        no_value="none yet",
                    )
                    for what, done in TIMES.items()
                ),
                *(
                    panel_templates.in_shown_time(
                        title=done.capitalize(),
                        text=f"Incidents that were {done} in the shown time.",
                        query=number(what),
                        base=BLUE,
                    )
                    for what, done in TIMES.items()
                ),
                *(
                    Bars(
                        title=f"Median time to {what}, by {label}",
                        text=f"Median of the time until incidents of each {label} were {done}, in the shown time.",
                        queries=[Query(expr=f"sort_desc({time_to(what, 0.5, label)})", legend=f"{{{{{label}}}}}")],
                        unit="s",
                        base=BLUE,
                    )
                    for what, done in TIMES.items()
                    for label in ("rule", "team")
                ),
            ),
        ),
        ALERTS,
        DELIVERY,
    ),
)
