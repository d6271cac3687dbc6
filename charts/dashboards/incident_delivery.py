"""Defines the dashboard panels about alerts and their delivery: what fired, what was posted, what waits and what was
lost.
"""

from charts.dashboards import links, panel_templates
from charts.dashboards.dashboard import Row
from charts.dashboards.panels import RED, YELLOW, Graph, Query
from charts.dashboards.queries import once

ALERTS = Row(
    title="Alerts",
    panels=(
        panel_templates.counted(
            "New alerts",
            "Alerts that began to fire, per minute, by rule.",
            "alerts_total",
            "rule",
            selector='rule=~"$rule", state="firing"',
            data_links=(links.document("About the rules", "alerts.md"),),
        ),
        Graph(
            title="Firing by severity",
            text="Firing alerts of Quarterdeck's own rules. High: act now. Medium: act today. Low: for information.",
            queries=[
                Query(
                    expr=f"sum by (severity) ({once('quarterdeck_alerts_firing', 'severity')})",
                    legend="{{severity}}",
                )
            ],
            stacked=True,
        ),
        panel_templates.counted(
            "Messages",
            "Messages about incidents per minute: posted, edited and reminders.",
            "incident_messages_total",
            "kind",
            selector="",
        ),
        panel_templates.counted(
            "Tries of self-healing",
            "Tries of self-healing per minute, by outcome.",
            "healing_acts_total",
            "outcome",
            selector="",
        ),
    ),
)
DELIVERY = Row(
    title="Delivery",
    panels=(
        Graph(
            title="Waiting",
            links=(links.runbook("quarterdeck-alerts-queued"),),
            text="Alerts that wait for the store (queued: in memory; spooled: in the file on disk), incidents that "
            "are not posted yet, and incidents that wait for each receiver. All should be 0 most of the time.",
            queries=[
                Query(expr="max(quarterdeck_alerts_queued)", legend="queued"),
                Query(expr="max(quarterdeck_alerts_spooled)", legend="spooled"),
                Query(expr="max(quarterdeck_incidents_waiting)", legend="not told"),
                Query(expr=once("quarterdeck_outlet_waiting", "kind", "name"), legend="for {{kind}} {{name}}"),
            ],
        ),
        Graph(
            title="Lost or omitted",
            text="Alerts that were lost (per minute), alerts that were dropped because too many were open, and open "
            "incidents without their own series. If a value is above 0, the other panels are incomplete.",
            queries=[
                Query(
                    expr="sum by (reason) (rate(quarterdeck_alerts_lost_total[$__rate_interval])) * 60",
                    legend="lost: {{reason}}",
                ),
                Query(expr="max(quarterdeck_alerts_dropped)", legend="left out"),
                Query(expr="max(quarterdeck_incident_series_capped)", legend="without series"),
            ],
            links=(links.runbook("quarterdeck-alerts-lost"),),
        ),
        Graph(
            title="Webhooks and Alertmanagers",
            text="Requests per minute, by outcome, and incidents that were dropped because they could not be "
            "delivered.",
            queries=[
                Query(
                    expr="sum by (kind, outcome) (rate(quarterdeck_outlet_requests_total[$__rate_interval])) * 60",
                    legend="{{kind}} {{outcome}}",
                ),
                Query(
                    expr="sum by (kind) (rate(quarterdeck_outlet_lost_total[$__rate_interval])) * 60",
                    legend="dropped · {{kind}}",
                ),
            ],
            unit="cpm",
            links=(
                links.runbook("quarterdeck-outlet-stuck"),
                links.runbook("quarterdeck-incidents-waiting"),
            ),
        ),
        panel_templates.counted(
            "Alerts of an Alertmanager",
            "Received alerts per minute, by outcome: stored, refused, unauthorized and others.",
            "alerts_received_total",
            "outcome",
            selector="",
            links=(links.runbook("quarterdeck-alerts-refused"),),
        ),
        Graph(
            title="Longest wait",
            text="Age of the oldest incident that waits to be posted in Slack, and of the oldest one that waits for "
            "each receiver. Yellow: from five "
            "minutes. Red: from one hour.",
            queries=[
                Query(expr="max(quarterdeck_incidents_oldest_seconds)", legend="chat"),
                Query(expr=once("quarterdeck_outlet_oldest_seconds", "kind", "name"), legend="{{kind}} {{name}}"),
            ],
            unit="s",
            thresholds=((300, YELLOW), (3600, RED)),
        ),
        panel_templates.counted(
            "Heartbeats",
            "Requests to the heartbeat address per minute: sent, failed, or not sent because Quarterdeck is not ready.",
            "heartbeats_total",
            "outcome",
            selector="",
            links=(links.runbook("quarterdeck-heartbeat-failing"),),
        ),
    ),
)
