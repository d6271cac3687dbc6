"""Defines the dashboard panels about the bot process: jobs, event loop, memory, metrics page and configuration."""

from charts.dashboards import links, panel_templates
from charts.dashboards.dashboard import Row
from charts.dashboards.panels import RED, SHARE, YELLOW, Bars, Column, Graph, Query, Table
from charts.dashboards.queries import per_minute

INSTANCE_SELECTOR = 'instance=~"$instance"'
BOT_ONLY = f"{{{INSTANCE_SELECTOR}}} and on (instance, job) quarterdeck_build_info{{{INSTANCE_SELECTOR}}}"


def bot_metric(metric: str) -> str:
    """A metric of the process, of Quarterdeck's processes only: other programs have metrics of the same name."""
    return f"{metric}{BOT_ONLY}"


JOBS = Row(
    title="Recurring jobs",
    panels=(
        Graph(
            title="Runs",
            text="Runs per minute, by job and outcome. Skipped: not started, because the previous run had not ended.",
            queries=[
                Query(
                    expr=per_minute("quarterdeck_job_runs_total", "job_name", "outcome", selector=INSTANCE_SELECTOR),
                    legend="{{job_name}} {{outcome}}",
                )
            ],
            unit="cpm",
            links=(links.runbook("quarterdeck-job-failing"),),
        ),
        panel_templates.durations(
            "Duration",
            "95 % of the runs of each job took this long or less. Yellow: from one minute.",
            "job_duration_seconds",
            "job_name",
            selector=INSTANCE_SELECTOR,
            parts=((0.95, ""),),
            thresholds=((60, YELLOW),),
        ),
        Bars(
            title="Last success",
            text="Time since the last successful run of each job. Yellow: from one hour. Red: from one day.",
            queries=[
                Query(
                    expr="sort_desc(time() - max by (job_name) "
                    f"(quarterdeck_job_last_success_timestamp_seconds{{{INSTANCE_SELECTOR}}}))",
                    legend="{{job_name}}",
                )
            ],
            unit="s",
            thresholds=((3600, YELLOW), (86400, RED)),
        ),
        Graph(
            title="Leaders",
            text="The processes that post incidents, send them to receivers, and run the shared jobs. Each task has "
            "one leader.",
            queries=[
                Query(expr=f"quarterdeck_{name}_leader{{{INSTANCE_SELECTOR}}}", legend=f"{text} · {{{{instance}}}}")
                for name, text in (("posting", "posts"), ("outlet", "sends"), ("schedule", "runs jobs"))
            ],
        ),
    ),
)
PROCESS_ROW = Row(
    title="The process",
    panels=(
        panel_templates.durations(
            "Delay of the event loop",
            "99 % of the tasks of the event loop start with this delay or less. Yellow: from 250 ms. Red: from one "
            "second.",
            "loop_lag_seconds",
            "instance",
            selector=INSTANCE_SELECTOR,
            parts=((0.99, ""),),
            thresholds=((0.25, YELLOW), (1, RED)),
            links=(links.runbook("quarterdeck-loop-lag"),),
        ),
        Graph(
            title="Watching",
            text="Time since the process last watched an engine and evaluated the rules. Yellow: from 15 seconds. "
            "Red: from one "
            "minute; nobody notices what breaks.",
            queries=[
                Query(
                    expr=f"time() - (max by (instance) (quarterdeck_watch_timestamp_seconds{{{INSTANCE_SELECTOR}}}) > 0)",
                    legend="{{instance}}",
                )
            ],
            unit="s",
            thresholds=((15, YELLOW), (60, RED)),
            links=(links.runbook("quarterdeck-not-watching"),),
        ),
        Graph(
            title="CPU",
            text="CPU of the process, in cores.",
            queries=[
                Query(
                    expr=f"rate(process_cpu_seconds_total{{{INSTANCE_SELECTOR}}}[$__rate_interval]) and on (instance, job) "
                    f"quarterdeck_build_info{{{INSTANCE_SELECTOR}}}",
                    legend="{{instance}}",
                )
            ],
            decimals=2,
        ),
        Graph(
            title="Memory",
            text="Resident memory of the process.",
            queries=[Query(expr=bot_metric("process_resident_memory_bytes"), legend="{{instance}}")],
            unit="bytes",
        ),
        Graph(
            title="Open files",
            links=(links.runbook("quarterdeck-files-near-limit"),),
            text="Open file descriptors as part of the limit. Yellow: from 80 %. Red: from 90 %.",
            queries=[
                Query(
                    expr=f"process_open_fds{{{INSTANCE_SELECTOR}}} / process_max_fds{{{INSTANCE_SELECTOR}}} and on (instance, job) "
                    f"quarterdeck_build_info{{{INSTANCE_SELECTOR}}}",
                    legend="{{instance}}",
                )
            ],
            unit="percentunit",
            thresholds=SHARE,
        ),
        panel_templates.counted(
            "Restarts of tasks",
            "Tasks of Quarterdeck that crashed and were restarted, per minute. A value above 0 is a bug: see the log.",
            "task_restarts_total",
            "task",
            selector=INSTANCE_SELECTOR,
            links=(links.runbook("quarterdeck-task-restarted"),),
        ),
        panel_templates.counted(
            "Failures of tasks",
            "Tasks of Quarterdeck that failed and were not restarted, per minute. A value above 0 is a bug: see the "
            "log.",
            "task_failures_total",
            "task",
            selector=INSTANCE_SELECTOR,
            links=(links.runbook("quarterdeck-task-failed"),),
        ),
        panel_templates.counted(
            "Refused HTTP requests",
            "Connections, requests and responses that Quarterdeck's HTTP servers refused, per minute.",
            "http_refused_total",
            "server",
            "reason",
            selector=INSTANCE_SELECTOR,
        ),
        Graph(
            title="The metrics page",
            links=(links.runbook("quarterdeck-scraper-failing"),),
            text="Duration of each scraper on the page. Yellow: from 100 ms.",
            queries=[
                Query(
                    expr=f"max by (scraper) (quarterdeck_scraper_duration_seconds{{{INSTANCE_SELECTOR}}})",
                    legend="{{scraper}}",
                )
            ],
            unit="s",
            thresholds=((0.1, YELLOW),),
        ),
        Table(
            title="Processes",
            text="Version of each process, of its Python, whether its last configuration was accepted (red: no), "
            "and since "
            "when it uses it.",
            queries=[
                Query(
                    expr=f"max by (instance, version, python) (quarterdeck_build_info{{{INSTANCE_SELECTOR}}})",
                    name="info",
                ),
                Query(
                    expr=f"max by (instance) (quarterdeck_config_last_reload_successful{{{INSTANCE_SELECTOR}}})",
                    name="config",
                ),
                Query(
                    expr=f"max by (instance) (quarterdeck_config_last_reload_timestamp_seconds{{{INSTANCE_SELECTOR}}}) * 1000",
                    name="since",
                ),
                Query(expr=f"min by (instance) (quarterdeck_scraper_success{{{INSTANCE_SELECTOR}}})", name="page"),
                Query(expr=f"max by (instance) ({bot_metric('process_start_time_seconds')}) * 1000", name="start"),
            ],
            columns=(
                Column(name="instance", title="Process"),
                Column(name="version", title="Version"),
                Column(name="start", title="Started", unit="dateTimeFromNow"),
                Column(name="config", title="Configuration", names={0: ("refused", RED), 1: ("accepted", "green")}),
                Column(name="since", title="In use since", unit="dateTimeFromNow"),
                Column(name="page", title="Page complete", names={0: ("no", RED), 1: ("yes", "green")}),
                Column(name="python", title="Python"),
            ),
            links=(links.runbook("quarterdeck-configuration-refused"),),
            height=6,
        ),
    ),
)
