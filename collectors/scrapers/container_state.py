"""Renders the state of each container as metrics, one block of samples per container, cached until it changes.

`collectors.shown_containers` decides which containers have series.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from collectors.exposition import Collect, Options, Scraper
from collectors.shown_containers import Scrape, ShownContainer, escape
from core.metric_families import CONFIGURED_LABELS, CONTAINER_LABELS, ENGINE_LABELS, Family, counter, gauge, info
from core.model.containers import HEALTH_STATES, LIVE_STATES, STATES

Block = tuple[bytes, ...]

STATE = gauge(
    "container_state", "Container state: 1 for the current state, 0 for the others", *CONTAINER_LABELS, "state"
)
HEALTH = gauge(
    "container_health_state",
    "Result of the container's health check: 1 for the current result, 0 for the others",
    *CONTAINER_LABELS,
    "health",
)
EXIT_CODE = gauge("container_exit_code", "Exit code of a stopped container", *CONTAINER_LABELS)
RESTARTS = counter(
    "container_restarts_total",
    "Number of times that the engine's restart policy restarted the container",
    *CONTAINER_LABELS,
)
OOM_KILLED = gauge("container_oom_killed", "1 if the container's last run was OOM-killed, else 0", *CONTAINER_LABELS)
STARTED = gauge(
    "container_start_time_seconds",
    "Start time of the container's last run, in seconds since the epoch",
    *CONTAINER_LABELS,
)
INFO = info(
    "container_info",
    "Image, id, project, service and configured labels of the container; always 1",
    *CONTAINER_LABELS,
    "image",
    "id",
    "project",
    "service",
    CONFIGURED_LABELS,
)
# In the order in which `_Containers.block` writes them; a block has one entry for each family.
BLOCK: Sequence[Family] = (STATE, HEALTH, EXIT_CODE, RESTARTS, OOM_KILLED, STARTED, INFO)
TOTALS = gauge("containers", "Containers of the engine by state", *ENGINE_LABELS, "state")
CAPPED = gauge(
    "container_series_capped",
    "Containers without series of their own, because the engine has more containers than metrics.max_containers",
    *ENGINE_LABELS,
)


class _Containers:
    def __init__(self, options: Options) -> None:
        self._labels = tuple({_label_name(label): label for label in reversed(options.container_labels)}.items())[::-1]
        self._cache: dict[ShownContainer, Block] = {}

    def collect(self, scrape: Scrape) -> Sequence[bytes]:
        blocks: dict[ShownContainer, Block] = {}
        totals, capped = [], []
        for engine in scrape.engines:
            states = Counter(row.state for row in engine.rows.values())
            totals += [f'{TOTALS.name}{{{engine.labels},state="{state}"}} {states[state]}\n' for state in STATES]
            capped.append(f"{CAPPED.name}{{{engine.labels}}} {engine.left_out}\n")
            for shown in engine.containers.values():
                blocks[shown] = self._cache.get(shown) or self.block(shown)
        self._cache = blocks
        families = zip(*blocks.values(), strict=True) if blocks else [()] * len(BLOCK)
        return [
            *map(b"".join, families),
            "".join(totals).encode(errors="replace"),
            "".join(capped).encode(errors="replace"),
        ]

    def block(self, shown: ShownContainer) -> Block:
        """The lines of one container, one entry for each family; an empty entry where it has no value."""
        row, container = shown.row, shown.labels
        state = "".join([f'{STATE.name}{{{container},state="{s}"}} {int(s == row.state)}\n' for s in STATES])
        health = code = restarts = oom = start = ""
        if row.health and row.state in LIVE_STATES:
            health = "".join(
                [f'{HEALTH.name}{{{container},health="{h}"}} {int(h == row.health)}\n' for h in HEALTH_STATES]
            )
        if row.exit_code is not None and row.state in ("exited", "dead"):
            code = f"{EXIT_CODE.name}{{{container}}} {row.exit_code}\n"
        if row.restarts is not None and row.restarts >= 0:
            restarts = f"{RESTARTS.name}{{{container}}} {row.restarts}\n"
        if row.oom_killed is not None:
            oom = f"{OOM_KILLED.name}{{{container}}} {int(row.oom_killed)}\n"
        if row.started_at is not None:
            start = f"{STARTED.name}{{{container}}} {row.started_at!r}\n"
        info_labels = [
            ("image", row.image),
            ("id", row.ref.short_id),
            ("project", row.project),
            ("service", row.service),
        ]
        info_labels += [(name, row.labels.get(label)) for name, label in self._labels]
        pairs = ",".join([f'{name}="{escape(value or "")}"' for name, value in info_labels])
        info = f"{INFO.name}{{{container},{pairs}}} 1\n"
        lines = (state, health, code, restarts, oom, start, info)
        return tuple([text.encode(errors="replace") for text in lines])


def _label_name(label: str) -> str:
    return "label_" + re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _make(options: Options) -> Collect:
    return _Containers(options).collect


scraper = Scraper(name="containers", families=(*BLOCK, TOTALS, CAPPED), make=_make)
"""Renders the state of all containers of the mirrors as metric families."""
