"""Defines the dashboard of the bot: commands by verb and verdict, refusals, limits, Slack's outbox, the store, and the
process.
"""

from charts.dashboards import links, panel_templates
from charts.dashboards.bot_process import JOBS, PROCESS_ROW
from charts.dashboards.dashboard import Dashboard, Row
from charts.dashboards.panels import RED, SHARE, YELLOW, Bars, Graph, Query, Stat
from charts.dashboards.queries import per_minute
from charts.dashboards.variables import PROCESS

INSTANCE_SELECTOR = 'instance=~"$instance"'


def bot_gauge(metric: str, how: str = "max") -> str:
    """Returns the query of a gauge of the selected bot processes, combined by `how`."""
    return f"{how}(quarterdeck_{metric}{{{INSTANCE_SELECTOR}}})"


REFUSED = f'increase(quarterdeck_commands_total{{{INSTANCE_SELECTOR}, outcome="refused"}}[$__range])'
ERRORS = f'increase(quarterdeck_commands_total{{{INSTANCE_SELECTOR}, outcome=~"error|unknown"}}[$__range])'
LATENCY = f"sum by (le) (rate(quarterdeck_command_duration_seconds_bucket{{{INSTANCE_SELECTOR}}}[$__range]))"
STORE_SHARE = f"max(quarterdeck_store_memory_bytes{{{INSTANCE_SELECTOR}}} / (quarterdeck_store_memory_limit_bytes{{{INSTANCE_SELECTOR}}} > 0))"

dashboard = Dashboard(
    name="bot",
    title="Bot",
    description="Commands by verb and verdict, refusals, limits, Slack's outbox, the store, and the process itself.",
    variables=(PROCESS,),
    by_engine=False,
    rows=(
        Row(
            title="Now",
            panels=(
                panel_templates.yes_or_no(
                    "Slack",
                    "Whether Slack is connected. Red: no. Commands in Slack do not work, and incidents are not posted.",
                    bot_gauge("slack_connected"),
                    links.runbook("quarterdeck-slack-disconnected"),
                    links.slack(),
                ),
                panel_templates.yes_or_no(
                    "Store",
                    "Whether the store answered the last request. Red: no. Changes are refused, and incidents wait.",
                    bot_gauge("store_up", "min"),
                    links.runbook("quarterdeck-store-down"),
                ),
                Stat(
                    title="95 % answered in",
                    text="95 % of the commands in the shown time took this long or less. Yellow: from three "
                    "seconds. Red: from thirty.",
                    queries=[Query(expr=f"histogram_quantile(0.95, {LATENCY})")],
                    unit="s",
                    thresholds=((3, YELLOW), (30, RED)),
                    no_value="no command",
                ),
                panel_templates.in_shown_time(
                    title="Refused",
                    text="Commands that were refused in the shown time: because of permissions, rate limits, guards "
                    "or a freeze. Yellow: at least ten.",
                    query=f"sum({REFUSED})",
                    thresholds=((10, YELLOW),),
                ),
                panel_templates.in_shown_time(
                    title="Errors",
                    text="Commands in the shown time that ended with an error of Quarterdeck or with an unknown "
                    "outcome. Red: at least one.",
                    query=f"sum({ERRORS})",
                ),
                Stat(
                    title="Slack's outbox",
                    text="Messages and edits that wait to be sent to Slack. Yellow: from 20. Red: from 200.",
                    queries=[Query(expr=bot_gauge("slack_outbox_waiting", "sum"))],
                    thresholds=((20, YELLOW), (200, RED)),
                    links=(links.runbook("quarterdeck-slack-outbox-full"),),
                ),
            ),
        ),
        Row(
            title="Commands",
            panels=(
                panel_templates.counted(
                    "Commands",
                    "Commands per minute, by command.",
                    "commands_total",
                    "command",
                    selector=INSTANCE_SELECTOR,
                ),
                panel_templates.counted(
                    "Verdicts and outcomes",
                    "Commands per minute, by the policy's verdict (allow, confirm, approve, deny) and by outcome.",
                    "commands_total",
                    "verdict",
                    "outcome",
                    selector=INSTANCE_SELECTOR,
                ),
                panel_templates.durations(
                    "Duration by command",
                    "Time from the receipt of a command to its reply. Yellow: from three seconds. Red: from thirty.",
                    "command_duration_seconds",
                    "command",
                    selector=INSTANCE_SELECTOR,
                    thresholds=((3, YELLOW), (30, RED)),
                ),
                Bars(
                    title="Refusals in the shown time",
                    text="Refused commands by command and verdict. `deny`: a missing grant or a guard. Others: a "
                    "rate limit, a "
                    "freeze or a protection. The command audit shows the people and the reasons.",
                    queries=[
                        Query(
                            expr=f"sort_desc(sum by (command, verdict) ({REFUSED}) > 0)",
                            legend="{{command}} ({{verdict}})",
                        )
                    ],
                    decimals=0,
                    base=YELLOW,
                ),
                panel_templates.counted(
                    "Audit",
                    "Rows written to the audit trail per minute, by phase.",
                    "audit_rows_total",
                    "phase",
                    selector=INSTANCE_SELECTOR,
                ),
                Graph(
                    title="Audit trail",
                    links=(links.runbook("quarterdeck-audit-trimmed"),),
                    text="Used part of the limits of the audit trail. Yellow: from 80 %. Red: from 95 %; at 100 % "
                    "the oldest "
                    "rows are removed.",
                    queries=[Query(expr=bot_gauge("audit_fill_ratio"), legend="used")],
                    unit="percentunit",
                    maximum=1,
                    thresholds=((0.8, YELLOW), (0.95, RED)),
                ),
                Graph(
                    title="Rows of the audit",
                    text="Rows stored in the audit trail, and rows removed in total because of its limits.",
                    queries=[
                        Query(expr=bot_gauge("audit_stored_rows"), legend="stored"),
                        Query(expr=bot_gauge("audit_removed_rows"), legend="removed"),
                    ],
                ),
                Graph(
                    title="Masked secrets",
                    text="Replies per minute in which a secret was masked.",
                    queries=[
                        Query(
                            expr=f"sum(rate(quarterdeck_redactions_total{{{INSTANCE_SELECTOR}}}[$__rate_interval])) * 60",
                            legend="replies",
                        )
                    ],
                    unit="cpm",
                ),
            ),
        ),
        Row(
            title="Slack",
            panels=(
                Graph(
                    title="Outbox",
                    text="Messages and edits that wait to be sent. Yellow: from 20. Red: from 200.",
                    queries=[Query(expr=bot_gauge("slack_outbox_waiting", "sum"), legend="waiting")],
                    thresholds=((20, YELLOW), (200, RED)),
                    links=(links.runbook("quarterdeck-slack-outbox-full"),),
                ),
                Graph(
                    title="Wait of the oldest message",
                    links=(links.runbook("quarterdeck-slack-outbox-old"),),
                    text="Age of the oldest waiting message. Yellow: from ten seconds. Red: from two minutes.",
                    queries=[Query(expr=bot_gauge("slack_outbox_oldest_seconds"), legend="oldest")],
                    unit="s",
                    thresholds=((10, YELLOW), (120, RED)),
                ),
                panel_templates.counted(
                    "Calls",
                    "Calls to Slack's API per minute, by outcome.",
                    "slack_calls_total",
                    "method",
                    "outcome",
                    selector=INSTANCE_SELECTOR,
                ),
                Graph(
                    title="Limited or not delivered",
                    links=(links.runbook("quarterdeck-replies-undelivered"),),
                    text="Per minute: calls that Slack refused with status 429, messages refused because too many "
                    "waited, replies "
                    "that could not be delivered, and posts whose answer was lost. All except 429 are losses.",
                    queries=[
                        Query(
                            expr=per_minute("quarterdeck_slack_throttled_total", "method", selector=INSTANCE_SELECTOR),
                            legend="429 · {{method}}",
                        ),
                        Query(
                            expr=per_minute("quarterdeck_slack_overflow_total", "priority", selector=INSTANCE_SELECTOR),
                            legend="too many · {{priority}}",
                        ),
                        Query(
                            expr=per_minute(
                                "quarterdeck_slack_lost_answers_total", "outcome", selector=INSTANCE_SELECTOR
                            ),
                            legend="answer lost · {{outcome}}",
                        ),
                        Query(
                            expr=f"sum(rate(quarterdeck_slack_undelivered_total{{{INSTANCE_SELECTOR}}}[$__rate_interval])) * 60",
                            legend="undelivered",
                        ),
                    ],
                    unit="cpm",
                ),
                panel_templates.durations(
                    "From a command to its reply in Slack",
                    "Time from the receipt of a command to the delivery of its reply. Yellow: from three seconds.",
                    "slack_reply_seconds",
                    "way",
                    selector=INSTANCE_SELECTOR,
                    thresholds=((3, YELLOW),),
                ),
                Graph(
                    title="Received and ignored",
                    text="Commands and clicks received per minute, by source, and payloads without a reply, by reason.",
                    queries=[
                        Query(
                            expr=per_minute("quarterdeck_slack_received_total", "way", selector=INSTANCE_SELECTOR),
                            legend="{{way}}",
                        ),
                        Query(
                            expr=per_minute("quarterdeck_slack_ignored_total", "reason", selector=INSTANCE_SELECTOR),
                            legend="ignored: {{reason}}",
                        ),
                    ],
                    unit="cpm",
                ),
                Graph(
                    title="Connected",
                    text="1 while Slack is connected.",
                    queries=[Query(expr=bot_gauge("slack_connected"), legend="connected")],
                    maximum=1,
                ),
                Graph(
                    title="Last pong of Slack",
                    text="Time since the last pong on Slack's socket. Yellow: from one minute. In HTTP mode there "
                    "is no series.",
                    queries=[
                        Query(
                            expr=f"time() - ({bot_gauge('slack_last_pong_timestamp_seconds')} > 0)", legend="last pong"
                        )
                    ],
                    unit="s",
                    thresholds=((60, YELLOW),),
                ),
            ),
        ),
        Row(
            title="Store",
            panels=(
                panel_templates.durations(
                    "Duration of a request",
                    "Duration of one request to the store. Yellow: from 50 ms. Red: from one second.",
                    "store_round_trip_seconds",
                    selector=INSTANCE_SELECTOR,
                    thresholds=((0.05, YELLOW), (1, RED)),
                ),
                Graph(
                    title="Memory",
                    text="Memory that the store's server uses, and its limit. At the limit, it refuses changes.",
                    queries=[
                        Query(expr=bot_gauge("store_memory_bytes"), legend="used"),
                        Query(expr=f"{bot_gauge('store_memory_limit_bytes')} > 0", legend="limit"),
                    ],
                    unit="bytes",
                    links=(links.runbook("quarterdeck-store-nearly-full"),),
                ),
                Graph(
                    title="Memory, as part of the limit",
                    text="Yellow: from 80 %. Red: from 90 %. No series: the store has no limit.",
                    queries=[Query(expr=STORE_SHARE, legend="used")],
                    unit="percentunit",
                    maximum=1,
                    thresholds=SHARE,
                ),
                Graph(
                    title="Answers",
                    text="1 while the store answers.",
                    queries=[Query(expr=bot_gauge("store_up", "min"), legend="store")],
                    maximum=1,
                    links=(links.runbook("quarterdeck-store-down"),),
                ),
            ),
        ),
        JOBS,
        PROCESS_ROW,
    ),
)
