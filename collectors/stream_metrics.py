"""Counts what happens to the event stream and to the relists of one engine. Its metrics have the labels `host` and
`engine`.

Until its first answer, an engine has a guessed host name. After the answer, the series with the guessed name are
removed. The lag of the stream is measured for each batch of events. To save time, the series of the lag is looked up
only once for each stream.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from prometheus_client import Gauge, Histogram

from core import metrics
from core.model.end_causes import CauseKind
from core.model.engines import Engine
from core.model.events import Event, Origin
from core.model.gaps import Gap, GapReason, Recovery
from core.model.refs import EngineRef

LAG_SAMPLE_SECONDS = 0.05
"""Between two observations of the lag: observing each batch would cost as much as counting it."""
MAX_VERSION = 64  # characters
_LIVE = Origin.LIVE


class StreamMetrics:
    """Counts for one engine. `ref` returns its reference."""

    def __init__(self, counts: metrics.Metrics, ref: Callable[[], EngineRef]) -> None:
        self._counts = counts
        self._ref = ref
        self._labels: tuple[str, str] | None = None
        self._newest: Gauge | None = None
        self._lag: Histogram | None = None
        self._lag_due = 0.0
        self._connected = False

    def labels(self) -> tuple[str, str]:
        """Returns the values of `host` and `engine`."""
        labels = metrics.engine_labels(self._ref())
        if self._labels is not None and self._labels != labels:
            self._counts.remove_engine(*self._labels)
        self._labels = labels
        return labels

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────

    def stream_opened(self) -> None:
        counts, labels = self._counts, self.labels()
        counts.stream_up.labels(*labels).set(1)
        counts.stream_connects_total.labels(*labels).inc()
        counts.stream_reconnects_total.labels(*labels).inc(self._connected)
        counts.stream_replayed_events_total.labels(*labels)
        counts.stream_duplicate_events_total.labels(*labels)
        counts.stream_overflows_total.labels(*labels)
        counts.resync_events_total.labels(*labels)
        counts.events_cut_total.labels(*labels)
        counts.history_lost_events_total.labels(*labels)
        # Prometheus sees no increase in the first value of a series, so what is rare begins at 0.
        for cause in CauseKind:
            counts.container_ends_total.labels(*labels, str(cause))
        for reason, recovery in itertools.product(GapReason, Recovery):
            counts.stream_gaps_total.labels(*labels, str(reason), str(recovery))
            counts.stream_gap_seconds_total.labels(*labels, str(reason), str(recovery))
        self._newest = counts.stream_last_event_timestamp_seconds.labels(*labels)
        self._lag = counts.stream_lag_seconds.labels(*labels)
        self._connected = True
        self.engine_up(up=True)

    def stream_lost(self) -> None:
        self._counts.stream_up.labels(*self.labels()).set(0)

    def processed(self, newest: Event, newest_ns: int, now: float, clock: Callable[[], int]) -> None:
        """Records a processed batch. `newest`: its last event; `newest_ns`: the time of the newest event of the stream;
        `now`: seconds of the event loop; `clock`: our time in nanoseconds."""
        if self._newest is not None:
            self._newest.set(newest_ns / 1e9)
        if now >= self._lag_due and newest.origin is _LIVE and self._lag is not None:
            self._lag_due = now + LAG_SAMPLE_SECONDS
            self._lag.observe(max(0.0, (clock() - newest.at_ns) / 1e9))

    def replayed(self, number: int) -> None:
        self._counts.stream_replayed_events_total.labels(*self.labels()).inc(number)

    def duplicates(self, number: int) -> None:
        self._counts.stream_duplicate_events_total.labels(*self.labels()).inc(number)

    def dropped(self, number: int) -> None:
        self._counts.stream_overflows_total.labels(*self.labels()).inc(number)

    def cut(self, number: int) -> None:
        self._counts.events_cut_total.labels(*self.labels()).inc(number)

    def skipped(self, what: str, number: int) -> None:
        self._counts.engine_data_skipped_total.labels(*self.labels(), what).inc(number)

    def gap(self, gap: Gap) -> None:
        labels = (*self.labels(), str(gap.reason), str(gap.recovery))
        self._counts.stream_gaps_total.labels(*labels).inc()
        self._counts.stream_gap_seconds_total.labels(*labels).inc(gap.seconds)

    def watch_saved(self, age_seconds: Callable[[], float]) -> None:
        """`age_seconds` returns how old the saved position is; it is called at each scrape."""
        self._counts.stream_cursor_age_seconds.labels(*self.labels()).set_function(age_seconds)

    # ── lists and the engine ─────────────────────────────────────────────────────────────────────────────────────

    def listed(self, outcome: str, seconds: float) -> None:
        self._counts.relists_total.labels(*self.labels(), outcome).inc()
        self._counts.relist_duration_seconds.labels(*self.labels()).observe(seconds)

    def resynced(self, number: int) -> None:
        self._counts.resync_events_total.labels(*self.labels()).inc(number)

    def engine_up(self, *, up: bool) -> None:
        self._counts.engine_up.labels(*self.labels()).set(up)

    def engine_described(self, engine: Engine) -> None:
        about = {"version": engine.version, "api": engine.api}
        visible = {name: metrics.visible(text[:MAX_VERSION]) for name, text in about.items()}
        self._counts.engine_info.labels(*self.labels()).info(visible)
