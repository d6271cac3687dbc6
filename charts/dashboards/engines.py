"""Defines the dashboard of an engine. It shows the version, the resources, the disk, how Quarterdeck reads the engine,
and the systemd units of its containers.
"""

from charts.dashboards import links, panel_templates, value_mappings
from charts.dashboards.dashboard import Dashboard, Row
from charts.dashboards.panels import (
    BLUE,
    GREEN,
    NONE_IS_BEST,
    NONE_IS_GOOD,
    RED,
    SHARE,
    YELLOW,
    Bars,
    Column,
    Graph,
    Query,
    Stat,
    Table,
    Timeline,
)
from charts.dashboards.queries import SELECTED, once, or_zero

STALE = 1800  # seconds: two times the interval of upkeep.disk_use


UP = panel_templates.gauge_of_engines("engine_up")
LIVE = panel_templates.gauge_of_engines("mirror_live")
DATA_ROOT = once(panel_templates.DATA_ROOT, *panel_templates.ENGINE)
FREE_IN_A_WEEK = once(
    f"predict_linear(quarterdeck_data_root_free_bytes{{{SELECTED}}}[$__range], 7 * 86400)", *panel_templates.ENGINE
)
MEASURED = f"time() - {panel_templates.gauge_of_engines('disk_use_timestamp_seconds')}"
UNITS_CAPPED = f"sum({panel_templates.gauge_of_engines('unit_series_capped')})"
UNITS = once(f"quarterdeck_unit_state{{{SELECTED}}}", *panel_templates.ENGINE, "unit", "state")
FAILED_UNITS = once(f'quarterdeck_unit_state{{{SELECTED}, state="failed"}}', *panel_templates.ENGINE, "unit")
VERSION = once(f"quarterdeck_engine_info{{{SELECTED}}}", *panel_templates.ENGINE, "version", "api")

dashboard = Dashboard(
    name="engines",
    title="Engines",
    description="Each engine: its version, its resources, its disk, how Quarterdeck reads it, and systemd units of "
    "containers.",
    hours=24,
    rows=(
        Row(
            title="Now",
            panels=(
                Stat(
                    title="Engines",
                    text="Engines that are watched.",
                    queries=[Query(expr=f"count({UP})")],
                    base=BLUE,
                ),
                panel_templates.make_count_panel(
                    title="Without answer",
                    text="Engines that do not answer. Red: at least one.",
                    query=f"{UP} == 0",
                    links=(links.runbook("engine-down"),),
                ),
                panel_templates.make_count_panel(
                    title="Without cached state",
                    text="Engines without a cached state: each command sends a request to the engine. Yellow: at "
                    "least one.",
                    query=f"{LIVE} == 0",
                    thresholds=NONE_IS_BEST,
                ),
                panel_templates.fullest_disk(),
                Stat(
                    title="Failed units",
                    text="Systemd units of containers that failed. Red: at least one.",
                    queries=[Query(expr=or_zero(f"sum({FAILED_UNITS})"))],
                    thresholds=NONE_IS_GOOD,
                    links=(links.runbook("unit-failed"),),
                ),
                Stat(
                    title="Without series",
                    links=(links.runbook("engine-series-capped"),),
                    text="Containers and units without series, because they exceed the limit "
                    "metrics.max_containers. Yellow: at "
                    "least one.",
                    queries=[
                        Query(
                            expr=f"sum({panel_templates.gauge_of_engines('container_series_capped')}) + ({or_zero(UNITS_CAPPED)})"
                        )
                    ],
                    thresholds=NONE_IS_BEST,
                ),
            ),
        ),
        Row(
            title="Engines and versions",
            panels=(
                Table(
                    title="Engines",
                    text="Each engine: its version, whether it answers (red: no), its containers in the cached "
                    "state, and the used part of "
                    "its file system (yellow: from 80 %, red: from 90 %).",
                    queries=[
                        Query(expr=VERSION, name="info"),
                        Query(expr=UP, name="up"),
                        Query(expr=panel_templates.gauge_of_engines("mirror_containers"), name="containers"),
                        Query(expr=DATA_ROOT, name="disk"),
                    ],
                    columns=(
                        Column(name="engine", title="Engine"),
                        Column(name="host", title="Host"),
                        Column(name="up", title="Answers", names=value_mappings.YES_NO),
                        Column(name="containers", title="Containers"),
                        Column(name="disk", title="Disk", unit="percentunit", thresholds=SHARE),
                        Column(name="version", title="Version"),
                        Column(name="api", title="API"),
                    ),
                ),
                Timeline(
                    title="Answers",
                    text="Whether each engine answers, over time. Green: yes. Red: no.",
                    queries=[Query(expr=UP, legend=panel_templates.ON)],
                    names=value_mappings.UP_DOWN,
                    links=(links.runbook("engine-down"),),
                ),
                Timeline(
                    title="Cached state",
                    text="Whether Quarterdeck answers lists from its cached state. Green: yes. Red: no. Each "
                    "command sends a request to the engine.",
                    queries=[Query(expr=LIVE, legend=panel_templates.ON)],
                    names=value_mappings.YES_NO,
                ),
            ),
        ),
        Row(
            title="Resources",
            panels=(
                panel_templates.gauges_of_engines(
                    "Containers", "Containers of each engine, in any state.", ("mirror_containers", "")
                ),
                panel_templates.gauges_of_engines(
                    "Images",
                    "Images of each engine, and those without a tag: `prune` removes them.",
                    ("images", "all"),
                    ("dangling_images", "without a tag"),
                ),
                panel_templates.gauges_of_engines(
                    "Volumes",
                    "Volumes of each engine, and those that no container uses.",
                    ("volumes", "all"),
                    ("unused_volumes", "unused"),
                ),
                panel_templates.gauges_of_engines("Networks", "Networks of each engine.", ("networks", "")),
            ),
        ),
        Row(
            title="Disk",
            panels=(
                Bars(
                    title="Used part of the disk",
                    text="Used part of the file system with the data of each engine. Yellow: from 80 %. Red: from "
                    "90 %.",
                    queries=[Query(expr=f"sort_desc({DATA_ROOT})", legend=panel_templates.ON)],
                    unit="percentunit",
                    thresholds=SHARE,
                    maximum=1,
                    links=(links.runbook("engine-disk-nearly-full"),),
                ),
                Graph(
                    title="Free space now and in a week",
                    links=(links.runbook("engine-disk-fills-up"),),
                    text="Free space for ordinary users, and the expected free space in a week, from the trend of "
                    "the shown time. Red: below 0. The disk will be full within a week.",
                    queries=[
                        Query(
                            expr=panel_templates.gauge_of_engines("data_root_free_bytes"),
                            legend=f"now · {panel_templates.ON}",
                        ),
                        Query(expr=FREE_IN_A_WEEK, legend=f"in a week · {panel_templates.ON}"),
                        Query(
                            expr=panel_templates.gauge_of_engines("data_root_size_bytes"),
                            legend=f"size · {panel_templates.ON}",
                        ),
                    ],
                    unit="bytes",
                    base=RED,
                    thresholds=((0, GREEN),),
                    minimum=None,
                ),
                panel_templates.gauges_of_engines(
                    "Disk use",
                    "Disk space of images, of volumes, of the build cache, and of data that containers wrote "
                    "outside of volumes.",
                    ("images_size_bytes", "images"),
                    ("volumes_size_bytes", "volumes"),
                    ("build_cache_size_bytes", "build cache"),
                    ("containers_written_size_bytes", "written"),
                    unit="bytes",
                ),
                Graph(
                    title="Age of the measurement",
                    text="Time since the disk use was measured. Yellow: from half an hour, twice the usual interval.",
                    queries=[Query(expr=MEASURED, legend=panel_templates.ON)],
                    unit="s",
                    thresholds=((STALE, YELLOW),),
                ),
            ),
        ),
        Row(
            title="How Quarterdeck reads them",
            panels=(
                panel_templates.gauges_of_engines(
                    "Reading the disk use",
                    "Time that the engine needed to measure its disk use.",
                    ("disk_use_duration_seconds", ""),
                    unit="s",
                ),
                panel_templates.gauges_of_engines(
                    "Reading the usage",
                    "Duration of the last reading of the containers' usage, and the interval between two readings. "
                    "If a reading takes as long as the interval, it is too slow.",
                    ("usage_read_duration_seconds", "duration"),
                    ("usage_interval_seconds", "interval"),
                    unit="s",
                ),
            ),
        ),
        Row(
            title="Systemd units",
            panels=(
                Graph(
                    title="Units by state",
                    text="Systemd units that run containers, by state.",
                    queries=[Query(expr=f"sum by (state) ({UNITS}) > 0", legend="{{state}}")],
                    stacked=True,
                ),
                Table(
                    title="Units",
                    text="Each unit with its state. For a failed unit, see: unit status NAME.",
                    queries=[Query(expr=f"{UNITS} == 1", name="value")],
                    columns=(
                        Column(name="unit", title="Unit"),
                        Column(name="state", title="State"),
                        Column(name="engine", title="Engine"),
                        Column(name="host", title="Host"),
                    ),
                    width=12,
                    links=(links.runbook("unit-failed"),),
                ),
            ),
        ),
    ),
)
