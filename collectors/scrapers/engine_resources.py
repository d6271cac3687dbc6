"""Renders as metrics how many images, volumes and networks an engine has, how much of the disk they use, and how full
the file system with the engine's data is.

The values come from readings at long intervals, which the mirrors cache. A number that an engine does not report has no
series. The series are removed when their reading is too old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collectors.exposition import Collect, Options, Scraper
from collectors.shown_containers import Scrape, engine_text
from core.metric_families import ENGINE_LABELS, Family, gauge
from core.model.disk_use import DiskUse, Filesystem, ResourceCounts
from runtimes.inventory.engine_readings import EngineReadings

COUNTS_STALE_SECONDS = 1_200.0  # four readings
STALE_INTERVALS = 3  # measurements of the disk use that may fail
MIN_INTERVAL_SECONDS = 60.0


def _gauge(name: str, text: str) -> Family:
    return gauge(name, text, *ENGINE_LABELS)


Record = ResourceCounts | DiskUse | Filesystem
# Each family with the field that has its value.
COUNTS = (
    (_gauge("images", "Images of the engine"), "images"),
    (_gauge("dangling_images", "Images of the engine without a tag"), "dangling_images"),
    (_gauge("volumes", "Volumes of the engine"), "volumes"),
    (_gauge("networks", "Networks of the engine"), "networks"),
)
DISK_USE = (
    (
        _gauge(
            "images_size_bytes",
            "Disk space of the layers of all images of the engine, each layer counted once, in bytes",
        ),
        "images",
    ),
    (_gauge("volumes_size_bytes", "Disk space of all volumes of the engine, in bytes"), "volumes"),
    (_gauge("unused_volumes", "Volumes of the engine that no container uses"), "unused_volumes"),
    (_gauge("build_cache_size_bytes", "Disk space of the engine's build cache, in bytes"), "build_cache"),
    (
        _gauge(
            "containers_written_size_bytes",
            "Disk space of data that the engine's containers wrote outside of volumes, in bytes",
        ),
        "writable",
    ),
    (
        _gauge("disk_use_duration_seconds", "Time that the engine needed to measure its disk use, in seconds"),
        "took",
    ),
    (
        _gauge(
            "disk_use_timestamp_seconds",
            "Time at which the engine's disk use was measured, in seconds since the epoch",
        ),
        "read_at",
    ),
)
FILESYSTEM = (
    (_gauge("data_root_size_bytes", "Size of the file system with the engine's data, in bytes"), "size"),
    (
        _gauge(
            "data_root_free_bytes",
            "Free space for ordinary users on the file system with the engine's data, in bytes",
        ),
        "free",
    ),
)


def collect(scrape: Scrape) -> Sequence[bytes]:
    engines = {engine_text(mirror.ref): mirror.resources for mirror in scrape.mirrors}
    return [
        *_samples(COUNTS, {labels: _counts(each, scrape.now) for labels, each in engines.items()}),
        *_samples(DISK_USE, {labels: _disk_use(each, scrape.now) for labels, each in engines.items()}),
        *_samples(FILESYSTEM, {labels: each.filesystem for labels, each in engines.items()}),
    ]


def _counts(resources: EngineReadings, now: float) -> ResourceCounts | None:
    return resources.counts if now - resources.counts_at <= COUNTS_STALE_SECONDS else None


def _disk_use(resources: EngineReadings, now: float) -> DiskUse | None:
    use, interval = resources.disk_use, max(resources.disk_use_interval, MIN_INTERVAL_SECONDS)
    return use if use is not None and now - use.read_at <= STALE_INTERVALS * interval else None


def _samples(families: Sequence[tuple[Family, str]], engines: Mapping[str, Record | None]) -> list[bytes]:
    page = []
    for family, field in families:
        lines = [
            f"{family.name}{{{labels}}} {value!r}\n"
            for labels, record in engines.items()
            if record is not None and (value := getattr(record, field)) is not None
        ]
        page.append("".join(lines).encode(errors="replace"))
    return page


def _make(options: Options) -> Collect:
    return collect


scraper = Scraper(
    name="engine_resources", families=[family for family, _ in (*COUNTS, *DISK_USE, *FILESYSTEM)], make=_make
)
"""Renders the resources and the disk use of all engines."""
