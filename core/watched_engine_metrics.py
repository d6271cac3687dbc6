"""Defines the metrics about the watch of each engine: its event stream, lists, gaps, and ends of containers.

Each has the labels `host` and `engine` first. Their series are removed with the engine. All other labels have a fixed
set of values, except `version` and `api`, which the engine reports.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from core.metric_families import ENGINE_LABELS
from core.metric_registry import MetricRegistry

# In seconds.
RELIST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STREAM_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class WatchedEngineMetrics(MetricRegistry):
    """Holds the metrics about watched engines; see MetricRegistry."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry)
        counter, gauge, histogram = self.counter, self.gauge, self.histogram

        self.events_total = counter(
            "events_total",
            "Events of the engine, including those that were received or found late, by type and action",
            *ENGINE_LABELS,
            "type",
            "action",
        )
        self.engine_up = gauge("engine_up", "1 if the engine answers Quarterdeck, else 0", *ENGINE_LABELS)
        self.engine_info = self.info(
            "engine", "Version of the engine and of its API; always 1", *ENGINE_LABELS, about=("version", "api")
        )
        self.stream_up = gauge(
            "stream_up", "State of the engine's event stream: 1 if it is open, else 0", *ENGINE_LABELS
        )
        self.stream_connects_total = counter(
            "stream_connects_total", "Event stream connections established", *ENGINE_LABELS
        )
        self.stream_reconnects_total = counter(
            "stream_reconnects_total", "Event stream connections established after the first one", *ENGINE_LABELS
        )
        self.stream_gaps_total = counter(
            "stream_gaps_total",
            "Gaps in which the engine's events were not received, by reason and by how the events were recovered",
            *ENGINE_LABELS,
            "reason",
            "recovery",
        )
        self.stream_gap_seconds_total = counter(
            "stream_gap_seconds_total",
            "Seconds in which the engine's events were not received, by reason and by how the events were recovered",
            *ENGINE_LABELS,
            "reason",
            "recovery",
        )
        self.stream_replayed_events_total = counter(
            "stream_replayed_events_total",
            "Missed events that the engine sent again when the stream was reopened",
            *ENGINE_LABELS,
        )
        self.stream_duplicate_events_total = counter(
            "stream_duplicate_events_total", "Repeated events of the engine, which Quarterdeck ignored", *ENGINE_LABELS
        )
        self.stream_lag_seconds = histogram(
            "stream_lag_seconds",
            "Delay from an event, by the engine's clock, to its processing, in seconds; at most 20 samples a second",
            STREAM_LAG_BUCKETS,
            *ENGINE_LABELS,
        )
        self.stream_cursor_age_seconds = gauge(
            "stream_cursor_age_seconds",
            "Time since Quarterdeck last saved in the store that it watches the engine, in seconds; if it crashed"
            " now, the events of this time would be missing",
            *ENGINE_LABELS,
        )
        self.stream_overflows_total = counter(
            "stream_overflows_total",
            "Events dropped because the event queue was full; after each loss, the containers are listed again",
            *ENGINE_LABELS,
        )
        self.engine_data_skipped_total = counter(
            "engine_data_skipped_total",
            "Events, rows, fields and lines from the engine that could not be decoded and were skipped",
            *ENGINE_LABELS,
            "what",
        )
        self.events_cut_total = counter(
            "events_cut_total", "Events that were shortened or dropped because a field was too long", *ENGINE_LABELS
        )
        self.stream_last_event_timestamp_seconds = gauge(
            "stream_last_event_timestamp_seconds",
            "Time of the engine's last event by the engine's clock, in seconds since the epoch",
            *ENGINE_LABELS,
        )
        self.relists_total = counter(
            "relists_total", "Relists (full lists of the engine's containers), by outcome", *ENGINE_LABELS, "outcome"
        )
        self.relist_duration_seconds = histogram(
            "relist_duration_seconds",
            "Duration of a relist (a full list of the engine's containers, with inspections), in seconds",
            RELIST_BUCKETS,
            *ENGINE_LABELS,
        )
        self.resync_events_total = counter(
            "resync_events_total",
            "Changes that the event stream missed and a relist (a full list of the engine's containers) found",
            *ENGINE_LABELS,
        )
        self.usage_interval_seconds = gauge(
            "usage_interval_seconds", "Seconds between two readings of the containers' resource usage", *ENGINE_LABELS
        )
        self.usage_read_duration_seconds = gauge(
            "usage_read_duration_seconds",
            "Duration of the last reading of the containers' resource usage, in seconds",
            *ENGINE_LABELS,
        )
        self.history_lost_events_total = counter(
            "history_lost_events_total",
            "Events that could not be stored in the history, because the store did not accept them for too long",
            *ENGINE_LABELS,
        )
        self.container_ends_total = counter(
            "container_ends_total", "Ends of containers, by cause", *ENGINE_LABELS, "cause"
        )
        self.mirror_containers = gauge(
            "mirror_containers", "Containers in the cached state of the engine", *ENGINE_LABELS
        )
        self.mirror_live = gauge(
            "mirror_live",
            "1 if the cached state of the engine is current, so that lists are read from the cache, else 0",
            *ENGINE_LABELS,
        )
