"""Defines the dashboard of the engines' event streams: rates, gaps, delay and lost events."""

from charts.dashboards import links, panel_templates, value_mappings
from charts.dashboards.dashboard import Dashboard, Row
from charts.dashboards.panels import (
    BLUE,
    NONE_IS_BEST,
    NONE_IS_GOOD,
    RED,
    YELLOW,
    Bars,
    Column,
    Graph,
    Query,
    Stat,
    Table,
    Timeline,
)
from charts.dashboards.queries import SELECTED, once, or_zero, per_minute

EVENTS = f"sum by (host, engine) (rate(quarterdeck_events_total{{{SELECTED}}}[$__rate_interval]))"
STREAM_UP = once(f"quarterdeck_stream_up{{{SELECTED}}}", *panel_templates.ENGINE)
LAST_EVENT = once(f"quarterdeck_stream_last_event_timestamp_seconds{{{SELECTED}}}", *panel_templates.ENGINE)
CURSOR_AGE = once(f"quarterdeck_stream_cursor_age_seconds{{{SELECTED}}}", *panel_templates.ENGINE)


def increase_in_range(counter: str, *by: str) -> str:
    """How much a counter of the selected engines grew in the shown time."""
    grown = f"increase(quarterdeck_{counter}{{{SELECTED}}}[$__range])"
    return f"sum by ({', '.join(by)}) ({grown})" if by else f"sum({grown})"


def lost_in_range(*counters: str) -> str:
    return or_zero(" + ".join(f"({or_zero(increase_in_range(counter))})" for counter in counters))


dashboard = Dashboard(
    name="events-and-streams",
    title="Events and streams",
    description="The events of the engines: rates, gaps, delay and losses.",
    rows=(
        Row(
            title="Now",
            panels=(
                panel_templates.make_count_panel(
                    title="Closed streams",
                    text="Event streams that are not open. Red: at least one. Quarterdeck finds changes of its "
                    "engine later, by lists.",
                    query=f"{STREAM_UP} == 0",
                    links=(links.runbook("engine-stream-down"),),
                ),
                Stat(
                    title="Events",
                    text="Events per second of all selected engines, over five minutes.",
                    queries=[Query(expr=f"sum(rate(quarterdeck_events_total{{{SELECTED}}}[5m]))")],
                    unit="cps",
                    decimals=2,
                    base=BLUE,
                ),
                Stat(
                    title="Delay",
                    text="99 % of the events were processed within this time after they happened, over five "
                    "minutes. Yellow: "
                    "from one second. Red: from ten seconds, or the clocks differ.",
                    queries=[
                        Query(
                            expr=f"histogram_quantile(0.99, sum by (le) "
                            f"(rate(quarterdeck_stream_lag_seconds_bucket{{{SELECTED}}}[5m])))"
                        )
                    ],
                    unit="s",
                    thresholds=((1, YELLOW), (10, RED)),
                    no_value="no event",
                ),
                panel_templates.in_shown_time(
                    title="Gaps",
                    text="Number of gaps in the shown time. In a gap, events of an engine are not received. Yellow: "
                    "at least one.",
                    query=increase_in_range("stream_gaps_total"),
                    thresholds=NONE_IS_BEST,
                    links=(links.runbook("engine-stream-gaps"),),
                ),
                Stat(
                    title="Lost",
                    text="Events in the shown time that were dropped, shortened or not stored. Red: at least one.",
                    queries=[
                        Query(
                            expr=lost_in_range(
                                "stream_overflows_total", "events_cut_total", "history_lost_events_total"
                            )
                        )
                    ],
                    decimals=0,
                    thresholds=NONE_IS_GOOD,
                    links=(links.runbook("engine-events-lost"),),
                ),
                panel_templates.in_shown_time(
                    title="Not decoded",
                    text="Events, rows, fields and lines of engines that were skipped in the shown time, because "
                    "they could not "
                    "be decoded. Yellow: at least one.",
                    query=increase_in_range("engine_data_skipped_total"),
                    thresholds=NONE_IS_BEST,
                ),
            ),
        ),
        Row(
            title="Rates",
            panels=(
                Graph(
                    title="Events by engine",
                    text="Events per second of each engine, including those from replays and lists.",
                    queries=[Query(expr=EVENTS, legend=panel_templates.ON)],
                    unit="cps",
                ),
                Graph(
                    title="Events by type and action",
                    text="The ten most frequent kinds of events, per minute.",
                    queries=[
                        Query(
                            expr="topk(10, "
                            + per_minute("quarterdeck_events_total", "type", "action", selector=SELECTED)
                            + ")",
                            legend="{{type}} {{action}}",
                        )
                    ],
                    unit="cpm",
                    stacked=True,
                ),
                panel_templates.durations(
                    "Delay by engine",
                    "Time from an event, by the engine's clock, to its processing: half of the events are faster "
                    "(50 %), "
                    "and 99 of 100 (99 %). Yellow: from one second. Red: from ten.",
                    "stream_lag_seconds",
                    *panel_templates.ENGINE,
                    selector=SELECTED,
                    parts=((0.5, "50 %"), (0.99, "99 %")),
                    legend=panel_templates.ON,
                    name_first=True,
                    thresholds=((1, YELLOW), (10, RED)),
                    links=(links.runbook("engine-stream-lag"),),
                ),
                Graph(
                    title="Time since the last event",
                    text="Time since the newest event of each engine. It is long on a quiet host; compare it with "
                    "other days. No "
                    "series: no event yet.",
                    queries=[Query(expr=f"time() - ({LAST_EVENT} > 0)", legend=panel_templates.ON)],
                    unit="s",
                ),
            ),
        ),
        Row(
            title="Streams and gaps",
            panels=(
                Timeline(
                    title="Streams",
                    text="Whether the event stream of each engine is open. Green: open. Red: closed.",
                    queries=[Query(expr=STREAM_UP, legend=panel_templates.ON)],
                    names=value_mappings.OPEN_CLOSED,
                    links=(links.runbook("engine-stream-down"),),
                ),
                Table(
                    title="Gaps in the shown time",
                    text="Gaps by reason and by recovery: replayed by the engine, found by a list, or unknown.",
                    queries=[
                        Query(
                            expr=increase_in_range("stream_gaps_total", *panel_templates.ENGINE, "reason", "recovery")
                            + " > 0",
                            name="gaps",
                        ),
                        Query(
                            expr=increase_in_range(
                                "stream_gap_seconds_total", *panel_templates.ENGINE, "reason", "recovery"
                            )
                            + " > 0",
                            name="time",
                        ),
                    ],
                    columns=(
                        Column(name="engine", title="Engine"),
                        Column(name="reason", title="Reason"),
                        Column(name="recovery", title="Recovery"),
                        Column(name="gaps", title="Gaps", decimals=0),
                        Column(name="time", title="Time", unit="s"),
                        Column(name="host", title="Host"),
                    ),
                    width=12,
                    links=(links.runbook("engine-stream-gaps"),),
                ),
                panel_templates.counters_of_engines(
                    "Connections",
                    "Event streams opened per minute, for the first time and again.",
                    ("stream_connects", "opened"),
                    ("stream_reconnects", "again"),
                    as_bars=True,
                ),
                Graph(
                    title="Age of the saved position",
                    text="Time since the store last recorded that the engine is watched. Yellow: from one minute. "
                    "Red: from five "
                    "minutes; the store does not accept it.",
                    queries=[Query(expr=CURSOR_AGE, legend=panel_templates.ON)],
                    unit="s",
                    thresholds=((60, YELLOW), (300, RED)),
                ),
            ),
        ),
        Row(
            title="Lost and recovered events",
            panels=(
                panel_templates.counters_of_engines(
                    "Repaired",
                    "Events per minute that were received again after a gap (replayed), found by a list, or sent "
                    "twice and ignored.",
                    ("stream_replayed_events", "replayed"),
                    ("resync_events", "found by a list"),
                    ("stream_duplicate_events", "twice"),
                ),
                panel_templates.counters_of_engines(
                    "Lost",
                    "Events per minute that were dropped because the queue was full, shortened or dropped because a "
                    "field "
                    "was too long, or not stored in the history. A value above 0 is a loss.",
                    ("stream_overflows", "queue full"),
                    ("events_cut", "cut"),
                    ("history_lost_events", "not stored"),
                    links=(
                        links.runbook("engine-history-lost"),
                        links.runbook("engine-events-lost"),
                    ),
                ),
                Graph(
                    title="Not decoded",
                    links=(links.runbook("engine-data-skipped"),),
                    text="Events, rows, fields and lines per minute that could not be decoded, by kind. The log has "
                    "an example.",
                    queries=[
                        Query(
                            expr=per_minute(
                                "quarterdeck_engine_data_skipped_total",
                                *panel_templates.ENGINE,
                                "what",
                                selector=SELECTED,
                            ),
                            legend=f"{{{{what}}}} · {panel_templates.ON}",
                        )
                    ],
                    unit="cpm",
                ),
                Graph(
                    title="Lists",
                    links=(links.runbook("engine-relists-failing"),),
                    text="Full lists of each engine per minute, by outcome. They find the changes that the stream "
                    "missed.",
                    queries=[
                        Query(
                            expr=per_minute(
                                "quarterdeck_relists_total", *panel_templates.ENGINE, "outcome", selector=SELECTED
                            ),
                            legend=f"{{{{outcome}}}} · {panel_templates.ON}",
                        )
                    ],
                    unit="cpm",
                ),
                panel_templates.durations(
                    "Duration of a list",
                    "95 % of the full lists, with inspections, took this long or less. Yellow: from five seconds.",
                    "relist_duration_seconds",
                    *panel_templates.ENGINE,
                    selector=SELECTED,
                    parts=((0.95, ""),),
                    legend=panel_templates.ON,
                    thresholds=((5, YELLOW),),
                ),
                Graph(
                    title="Events in the history",
                    text="Events in the store.",
                    queries=[Query(expr="max(quarterdeck_history_stored_events)", legend="events")],
                ),
                Graph(
                    title="Size of the history",
                    text="Estimated memory of the store for these events and their index.",
                    queries=[Query(expr="max(quarterdeck_history_stored_bytes)", legend="size")],
                    unit="bytes",
                ),
                Bars(
                    title="Events in the shown time",
                    text="Events of each engine in the shown time.",
                    queries=[
                        Query(
                            expr=f"sort_desc({increase_in_range('events_total', *panel_templates.ENGINE)})",
                            legend=panel_templates.ON,
                        )
                    ],
                    decimals=0,
                    base=BLUE,
                ),
            ),
        ),
    ),
)
