"""Renders as metrics why and when each container ended last, and how often it started again after each cause.

A container's series are removed with the container. The cause of an end is known a few seconds after the end; until
then, the container has no series of its cause. The counter starts at 0 with this process.
"""

from __future__ import annotations

from collections.abc import Sequence

from collectors.exposition import Collect, Options, Scraper
from collectors.shown_containers import Scrape
from core.metric_families import CONTAINER_LABELS, counter, gauge
from core.model.containers import Container
from core.model.end_causes import CauseKind
from runtimes.inventory.container_end_records import EndRecord

CAUSES = tuple(CauseKind)
NO_RECORD = EndRecord()
ENDED = gauge(
    "container_last_end_timestamp_seconds",
    "Time of the container's last end, in seconds since the epoch",
    *CONTAINER_LABELS,
)
EXIT_CODE = gauge("container_last_end_exit_code", "Exit code of the container's last end", *CONTAINER_LABELS)
CAUSE = gauge(
    "container_last_end_cause", "Cause of the container's last end, as a label; always 1", *CONTAINER_LABELS, "cause"
)
RESTARTS = counter(
    "container_restarts_by_cause_total",
    "Number of times that the container started again after it had ended, by cause of the end",
    *CONTAINER_LABELS,
    "cause",
)


def collect(scrape: Scrape) -> Sequence[bytes]:
    ended, codes, causes, restarts = list[str](), list[str](), list[str](), list[str]()
    for engine in scrape.engines:
        records = {key: one for mirror in engine.mirrors for key, one in mirror.ends.by_container.items()}
        for container_id, shown in engine.containers.items():
            record, row, labels = records.get(container_id, NO_RECORD), shown.row, shown.labels
            if not record.at_ns and not row.finished_at:
                continue
            at = max(record.at_ns / 1e9, row.finished_at or 0.0)
            ended.append(f"{ENDED.name}{{{labels}}} {at!r}\n")
            if (code := _exit_code(row, record)) is not None:
                codes.append(f"{EXIT_CODE.name}{{{labels}}} {code}\n")
            if record.cause is not None:
                causes.append(f'{CAUSE.name}{{{labels},cause="{record.cause}"}} 1\n')
            counted = [(cause, number) for cause in CAUSES if (number := record.restarts.get(cause))]
            restarts += [f'{RESTARTS.name}{{{labels},cause="{cause}"}} {number}\n' for cause, number in counted]
    return ["".join(lines).encode(errors="replace") for lines in (ended, codes, causes, restarts)]


def _exit_code(row: Container, record: EndRecord) -> int | None:
    """The inspection wins: the labels of a container may imitate an event's attributes."""
    return row.exit_code if row.state == "exited" and row.exit_code is not None else record.exit_code


def _make(options: Options) -> Collect:
    return collect


scraper = Scraper(name="container_ends", families=(ENDED, EXIT_CODE, CAUSE, RESTARTS), make=_make)
"""Renders the last end of all containers."""
