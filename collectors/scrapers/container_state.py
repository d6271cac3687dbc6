"""Renders the state of each container as metrics, one block of text per container, cached until the container changes.

The families have the labels `host`, `engine` and `name`. A container's series are removed with the container. All
series of an engine are removed if the engine has had no contact for some minutes. Two containers of one engine may have
the same name for a moment, when an event is late. Then only the younger one is shown, because Prometheus refuses a page
with a duplicate series. If an engine has more containers than the option `max_containers` allows, running containers
are shown first, then younger ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from collectors.exposition import Collect, Options, Scraper, escape, head
from core import metrics
from core.model.actions import ListContainers
from core.model.containers import HEALTH_STATES, LIVE_STATES, STATES, Container
from runtimes.inventory.mirror import Mirror

Block = tuple[bytes, ...]
P = metrics.PREFIX
# A live mirror has contact every 45 s. A short absence makes no gap in a graph; a long one must not look normal.
STALE_AFTER_SECONDS = 300.0

# In the order in which `_Containers.block` writes them; a block has one entry for each family.
FAMILIES = (
    head("container_state", "gauge", "Container state: 1 for the current state, 0 for the others"),
    head(
        "container_health_state",
        "gauge",
        "Result of the container's health check: 1 for the current result, 0 for the others",
    ),
    head("container_exit_code", "gauge", "Exit code of a stopped container"),
    head("container_restarts_total", "counter", "Restarts of the container by the engine's restart policy"),
    head("container_oom_killed", "gauge", "1 if the container's last run was OOM-killed, else 0"),
    head("container_start_time_seconds", "gauge", "Start time of the container's last run, in seconds since the epoch"),
    head("container_info", "gauge", "Image, id, project and service of the container; always 1"),
)
TOTALS = head("containers", "gauge", "Containers of the engine by state")
CAPPED = head(
    "container_series_capped", "gauge", "Containers without series of their own, above the limit of one engine"
)


class _Containers:
    def __init__(self, options: Options) -> None:
        self._max_containers = options.max_containers
        self._labels = tuple({_label_name(label): label for label in reversed(options.container_labels)}.items())[::-1]
        self._cache: dict[tuple[str, str], dict[str, tuple[Container, Block]]] = {}

    def collect(self, mirrors: Sequence[Mirror], now: float) -> Sequence[bytes]:
        engines: dict[tuple[str, str], dict[str, Container]] = {}
        for mirror in mirrors:
            if now - mirror.last_contact > STALE_AFTER_SECONDS or ListContainers.verb not in mirror.verbs:
                continue
            engines.setdefault(metrics.engine_labels(mirror.ref), {}).update(mirror.containers)
        self._cache = {engine: self._engine(engine, rows) for engine, rows in engines.items()}
        totals, capped, blocks = [TOTALS], [CAPPED], []
        for engine, rows in engines.items():
            labels = _engine_labels(engine)
            states = Counter(row.state for row in rows.values())
            totals += [f'{P}_containers{{{labels},state="{state}"}} {states[state]}\n'.encode() for state in STATES]
            left_out = len(rows) - min(len(rows), self._max_containers)
            capped.append(f"{P}_container_series_capped{{{labels}}} {left_out}\n".encode())
            blocks += [block for _, block in self._cache[engine].values()]
        page = []
        for family, *parts in zip(FAMILIES, *blocks, strict=True):
            page += [family, *parts]
        return [*page, *totals, *capped]

    def _engine(self, engine: tuple[str, str], rows: Mapping[str, Container]) -> dict[str, tuple[Container, Block]]:
        cached = self._cache.get(engine, {})
        labels = _engine_labels(engine)
        blocks = {}
        for row in self._shown(rows):
            name = row.ref.name
            known = cached.get(name)
            # The mirror returns the same object while nothing changes.
            blocks[name] = known if known is not None and known[0] is row else (row, self.block(labels, row))
        return blocks

    def _shown(self, rows: Mapping[str, Container]) -> Sequence[Container]:
        named: dict[str, Container] = {}
        for row in rows.values():
            # By the name on the page: two names may differ only in what is written out there.
            name = escape(row.ref.name)
            other = named.get(name)
            if other is None or other.created_at <= row.created_at:
                named[name] = row
        if len(named) <= self._max_containers:
            return tuple(named.values())
        return sorted(named.values(), key=lambda row: (row.state not in LIVE_STATES, -row.created_at, row.ref.id))[
            : self._max_containers
        ]

    def block(self, engine_labels: str, row: Container) -> Block:
        """The lines of one container, one entry for each family; an empty entry where it has no value."""
        container = f'{engine_labels},name="{escape(row.ref.name)}"'
        state = "".join([f'{P}_container_state{{{container},state="{s}"}} {int(s == row.state)}\n' for s in STATES])
        health = code = restarts = oom = start = ""
        if row.health and row.state in LIVE_STATES:
            health = "".join(
                [
                    f'{P}_container_health_state{{{container},health="{h}"}} {int(h == row.health)}\n'
                    for h in HEALTH_STATES
                ]
            )
        if row.exit_code is not None and row.state in ("exited", "dead"):
            code = f"{P}_container_exit_code{{{container}}} {row.exit_code}\n"
        if row.restarts is not None:
            restarts = f"{P}_container_restarts_total{{{container}}} {row.restarts}\n"
        if row.oom_killed is not None:
            oom = f"{P}_container_oom_killed{{{container}}} {int(row.oom_killed)}\n"
        if row.started_at is not None:
            start = f"{P}_container_start_time_seconds{{{container}}} {row.started_at!r}\n"
        info_labels = [
            ("image", row.image),
            ("id", row.ref.id[:12]),
            ("project", row.project),
            ("service", row.service),
        ]
        info_labels += [(name, row.labels.get(label)) for name, label in self._labels]
        pairs = ",".join([f'{name}="{escape(value or "")}"' for name, value in info_labels])
        info = f"{P}_container_info{{{container},{pairs}}} 1\n"
        lines = (state, health, code, restarts, oom, start, info)
        return tuple([text.encode(errors="replace") for text in lines])


def _engine_labels(engine: tuple[str, str]) -> str:
    return f'host="{escape(engine[0])}",engine="{escape(engine[1])}"'


def _label_name(label: str) -> str:
    return "label_" + re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _make(options: Options) -> Collect:
    return _Containers(options).collect


scraper = Scraper(name="containers", make=_make)
"""Renders the state of all containers of the mirrors as metric families."""
