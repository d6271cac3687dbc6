"""Defines the metrics about Quarterdeck itself, in a separate Prometheus registry.

Callers hold a `Metrics` object and use its attributes. Every label has a closed set of values: hosts and engines come
from the configuration, teams are limited in number, all others are constants (an unknown command counts as `unknown`).
So the input of a user can create few time series at most. Code that runs often stores the child that `.labels(…)`
returns. The metrics of engines are in `core.watched_engine_metrics`.
"""

from __future__ import annotations

import hashlib
import platform

from prometheus_client import CollectorRegistry

from core import metric_families
from core.metric_families import ENGINE_LABELS, Format
from core.model.refs import EngineRef
from core.watched_engine_metrics import WatchedEngineMetrics

PREFIX = metric_families.PREFIX
MAX_LABEL_LENGTH = 512  # characters of a label's value

# Buckets in seconds. Commands wait for engines (a stop may take ten seconds); a healthy store answers within 1 ms.
COMMAND_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
JOB_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
INCIDENT_BUCKETS = (10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 259_200.0)
STORE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0)


def engine_labels(ref: EngineRef) -> tuple[str, str]:
    """Returns the values of the labels `host` and `engine`, in this order."""
    return visible(ref.host), ref.kind if ref.name == "default" else f"{ref.kind}/{visible(ref.name)}"


def visible(value: str) -> str:
    r"""Returns a label value without characters that a terminal would obey or hide: ESC becomes the text \x1b. A long
    value is cut. Different values stay different, so no series appears twice."""
    if not value.isprintable():
        # The format itself writes out a line break.
        value = "".join(
            one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in value
        )
    if len(value) > MAX_LABEL_LENGTH:
        digest = hashlib.sha256(value.encode(errors="replace")).hexdigest()[:12]
        value = f"{value[: MAX_LABEL_LENGTH - len(digest) - 1]}…{digest}"
    return value


class Metrics(WatchedEngineMetrics):
    """All metric families of the process that are counted, in `registry` or in a new one."""

    def __init__(self, registry: CollectorRegistry | None = None, *, version: str = "unknown") -> None:
        super().__init__(registry)
        counter, gauge, histogram = self.counter, self.gauge, self.histogram

        self._declare_alerts()
        self._declare_outlets()

        # The process: its event loop and its tasks.
        self.loop_lag_seconds = histogram(
            "loop_lag_seconds", "Delay with which the event loop ran a task that was due, in seconds", LAG_BUCKETS
        )
        self.task_restarts_total = counter(
            "task_restarts_total", "Restarts of Quarterdeck's internal tasks after a crash, by task", "task"
        )
        self.task_failures_total = counter(
            "task_failures_total",
            "Failures of Quarterdeck's internal tasks that are not started again, by task",
            "task",
        )

        self._declare_jobs()

        # Commands.
        self.commands_total = counter(
            "commands_total", "Commands, by name, policy verdict and outcome", "command", "verdict", "outcome"
        )
        self.command_duration_seconds = histogram(
            "command_duration_seconds",
            "Duration of a command from its receipt to its reply, in seconds",
            COMMAND_BUCKETS,
            "command",
        )
        self.audit_rows_total = counter(
            "audit_rows_total", "Rows written to the audit trail, by phase of the command", "phase"
        )
        self.redactions_total = counter("redactions_total", "Replies in which a secret was masked")

        # Slack.
        self.slack_connected = gauge("slack_connected", "1 if Slack is connected, by Socket Mode or by HTTP, else 0")
        self.slack_last_pong_timestamp_seconds = gauge(
            "slack_last_pong_timestamp_seconds",
            "Time of the last pong from Slack's WebSocket, in seconds since the epoch",
        )
        self.slack_received_total = counter(
            "slack_received_total", "Commands and clicks received from Slack, by source", "way"
        )
        self.slack_ignored_total = counter(
            "slack_ignored_total", "Payloads received from Slack and ignored, by reason", "reason"
        )
        self.slack_reply_seconds = histogram(
            "slack_reply_seconds",
            "Duration from the receipt of a command to the delivery of its reply, in seconds",
            COMMAND_BUCKETS,
            "way",
        )
        self.slack_calls_total = counter(
            "slack_calls_total", "Calls to Slack's API, by method and outcome", "method", "outcome"
        )
        self.slack_throttled_total = counter(
            "slack_throttled_total", "Calls to Slack's API refused with status 429, by method", "method"
        )
        self.slack_outbox_waiting = gauge("slack_outbox_waiting", "Messages and edits waiting to be sent to Slack")
        self.slack_outbox_oldest_seconds = gauge(
            "slack_outbox_oldest_seconds", "Age of the oldest message or edit waiting to be sent to Slack, in seconds"
        )
        self.slack_overflow_total = counter(
            "slack_overflow_total", "Messages to Slack refused because too many waited, by priority", "priority"
        )
        self.slack_lost_answers_total = counter(
            "slack_lost_answers_total",
            "Messages for which Slack's answer was lost, by outcome: found (the message had arrived) or repeated"
            " (it was posted again)",
            "outcome",
        )
        self.slack_undelivered_total = counter(
            "slack_undelivered_total", "Replies that could not be delivered to Slack"
        )

        # HTTP.
        self.http_refused_total = counter(
            "http_refused_total",
            "Connections, requests and responses that an HTTP server of Quarterdeck refused, by server and reason",
            "server",
            "reason",
        )

        # The store and the configuration.
        self.store_up = gauge("store_up", "1 if the store answered the last request, else 0")
        self.store_round_trip_seconds = histogram(
            "store_round_trip_seconds", "Duration of one request to the store, in seconds", STORE_BUCKETS
        )
        self.store_memory_bytes = gauge("store_memory_bytes", "Memory that the store's server uses, in bytes")
        self.store_memory_limit_bytes = gauge(
            "store_memory_limit_bytes", "Maximum memory of the store's server, in bytes; 0 if it has no limit"
        )
        self.history_stored_events = gauge("history_stored_events", "Events stored in the history, of all engines")
        self.history_stored_bytes = gauge(
            "history_stored_bytes", "Size of the events stored in the history and of their index, in bytes (estimated)"
        )
        self.audit_stored_rows = gauge("audit_stored_rows", "Rows stored in the audit trail")
        self.audit_fill_ratio = gauge(
            "audit_fill_ratio", "Fill level of the audit trail, from 0 to 1; at 1 the oldest rows are removed"
        )
        self.audit_removed_rows = gauge(
            "audit_removed_rows",
            "Rows removed from the audit trail since its creation, because of its limits on size and age",
        )
        self.config_last_reload_successful = gauge(
            "config_last_reload_successful", "1 if the last load of the configuration succeeded, else 0"
        )
        self.config_last_reload_timestamp_seconds = gauge(
            "config_last_reload_timestamp_seconds",
            "Time of the last successful load of the configuration, in seconds since the epoch",
        )

        # The scrape itself. These are set before the page is rendered, so they describe the same page.
        self.scraper_duration_seconds = gauge(
            "scraper_duration_seconds",
            "Time that one part of this metrics page (a scraper) took, in seconds",
            "scraper",
        )
        self.scraper_success = gauge(
            "scraper_success", "1 if one part of this metrics page (a scraper) succeeded, else 0", "scraper"
        )

        text = "Version of Quarterdeck and of Python; always 1"
        build = {"version": version, "python": platform.python_version()}
        self.info("build", text, about=tuple(build)).info(build)
        self.add_process()

    def _declare_alerts(self) -> None:
        """Declares the families of alerts and incidents."""
        self.alerts_total = self.counter("alerts_total", "Changes of alerts, by rule and by new state", "rule", "state")
        self.alerts_firing = self.gauge("alerts_firing", "Alerts that fire now, by severity", "severity")
        self.incidents_waiting = self.gauge("incidents_waiting", "Incidents that have a change which is not posted yet")
        self.incidents_oldest_seconds = self.gauge(
            "incidents_oldest_seconds", "Age of the oldest incident with a change that is not posted yet, in seconds"
        )
        self.incidents_open = self.gauge(
            "incidents_open", "Open incidents, by rule, team, severity and state", "rule", "team", "severity", "state"
        )
        self.incident_begin_timestamp_seconds = self.gauge(
            "incident_begin_timestamp_seconds",
            "Time at which each open incident began, in seconds since the epoch",
            *ENGINE_LABELS,
            "kind",
            "name",
            "rule",
            "team",
            "severity",
            "state",
        )
        self.incident_series_capped = self.gauge(
            "incident_series_capped",
            "Open incidents without series of their own, because more than 500 incidents are open",
        )
        self.incident_acknowledge_seconds = self.histogram(
            "incident_acknowledge_seconds",
            "Time from the beginning of an incident to its acknowledgement, in seconds",
            INCIDENT_BUCKETS,
            "rule",
            "team",
        )
        self.incident_resolve_seconds = self.histogram(
            "incident_resolve_seconds",
            "Time from the beginning of an incident to its end, in seconds",
            INCIDENT_BUCKETS,
            "rule",
            "team",
        )
        self.incident_messages_total = self.counter(
            "incident_messages_total", "Messages about incidents, posted or edited", "kind"
        )
        self.alert_channel_configured = self.gauge(
            "alert_channel_configured", "1 if incidents can be posted in a channel of a chat, else 0"
        )
        self.healing_acts_total = self.counter("healing_acts_total", "Actions of self-healing, by outcome", "outcome")
        for outcome in ("done", "failed", "refused", "unknown", "gave_up"):
            self.healing_acts_total.labels(outcome)
        self.posting_leader = self.gauge("posting_leader", "1 if this process posts incidents, else 0")
        self.alerts_queued = self.gauge("alerts_queued", "Changes of alerts that are not stored yet")
        self.alerts_spooled = self.gauge(
            "alerts_spooled", "Changes of alerts in the spool file on disk, because the store did not answer"
        )
        self.alerts_lost_total = self.counter(
            "alerts_lost_total", "Changes of alerts that were never stored, by reason", "reason"
        )
        self.alerts_dropped = self.gauge("alerts_dropped", "Alerts dropped because too many were open at once")

    def _declare_outlets(self) -> None:
        """Declares the families of other systems that get incidents or send alerts. `name`: as configured."""
        self.outlet_waiting = self.gauge(
            "outlet_waiting", "Incidents waiting to be sent to a webhook or an Alertmanager", "kind", "name"
        )
        self.outlet_oldest_seconds = self.gauge(
            "outlet_oldest_seconds",
            "Age of the oldest incident waiting to be sent to a webhook or an Alertmanager, in seconds",
            "kind",
            "name",
        )
        self.outlet_requests_total = self.counter(
            "outlet_requests_total", "Requests to webhooks and Alertmanagers, by outcome", "kind", "outcome"
        )
        self.outlet_lost_total = self.counter(
            "outlet_lost_total",
            "Incidents dropped because they could not be delivered to a receiver within a day",
            "kind",
        )
        self.outlet_leader = self.gauge(
            "outlet_leader", "1 if this process sends incidents to webhooks and Alertmanagers, else 0"
        )
        self.alerts_received_total = self.counter(
            "alerts_received_total", "Alerts received from an Alertmanager, by outcome", "outcome"
        )
        self.heartbeats_total = self.counter(
            "heartbeats_total", "Requests to the URL of the setting heartbeat, by outcome", "outcome"
        )
        self.watch_timestamp_seconds = self.gauge(
            "watch_timestamp_seconds",
            "Time when this process last watched an engine and evaluated the alert rules, in seconds since the epoch",
        )

    def _declare_jobs(self) -> None:
        """Declares the families of recurring jobs. Their label is not `job`, because Prometheus sets that one."""
        self.job_runs_total = self.counter(
            "job_runs_total",
            "Runs of a recurring job, by outcome; skipped: not started, because the previous run had not ended",
            "job_name",
            "outcome",
        )
        self.job_duration_seconds = self.histogram(
            "job_duration_seconds", "Duration of one run of a recurring job, in seconds", JOB_BUCKETS, "job_name"
        )
        self.job_last_success_timestamp_seconds = self.gauge(
            "job_last_success_timestamp_seconds",
            "Time of the last successful run of a recurring job, in seconds since the epoch",
            "job_name",
        )
        self.schedule_leader = self.gauge(
            "schedule_leader", "1 if this process is the leader, which runs the shared recurring jobs, else 0"
        )


def render(metrics: Metrics, form: Format = Format.TEXT) -> bytes:
    """Renders the registry; see `MetricRegistry.render`."""
    return metrics.render(form)
