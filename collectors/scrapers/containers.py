"""What each container is doing, one block of text per container, kept until the container changes.

In: the mirrors. Out: families with the labels `host`, `engine`, `name`; they vanish with the container, and all of an
engine's when nothing was heard of it for some minutes. Two containers of one engine can bear one name for a moment (an
event is late): the younger is shown, since a page with one series twice is refused as a whole. Beyond the cap those
that run and the youngest are shown.
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
# A live mirror hears something every 45 s. A short absence makes no gap in a graph; a long one must not look like calm.
STALE_AFTER = 300.0

# In the order in which `_Containers.block` writes them; a block has one entry for each.
FAMILIES = (
    head("container_state", "gauge", "1 for the state the container is in."),
    head("container_health_state", "gauge", "1 for the result of the health check, where there is one."),
    head("container_exit_code", "gauge", "How the container ended, while it is ended."),
    head("container_restarts_total", "counter", "Restarts by the engine's own restart policy."),
    head("container_oom_killed", "gauge", "1 if the last run was ended for want of memory."),
    head("container_start_time_seconds", "gauge", "When the container was last started."),
    head("container_info", "gauge", "What the container is; always 1."),
)
TOTALS = head("containers", "gauge", "Containers by state.")
CAPPED = head("container_series_capped", "gauge", "Containers without series of their own, because there are too many.")


class _Containers:
    def __init__(self, options: Options) -> None:
        self._most = options.most_containers
        self._labels = tuple({_label_name(label): label for label in reversed(options.container_labels)}.items())[::-1]
        self._kept: dict[tuple[str, str], dict[str, tuple[Container, Block]]] = {}

    def collect(self, mirrors: Sequence[Mirror], now: float) -> Sequence[bytes]:
        engines: dict[tuple[str, str], dict[str, Container]] = {}
        for mirror in mirrors:
            if now - mirror.confirmed > STALE_AFTER or ListContainers.verb not in mirror.verbs:
                continue
            engines.setdefault(metrics.engine_labels(mirror.ref), {}).update(mirror.containers)
        self._kept = {engine: self._engine(engine, rows) for engine, rows in engines.items()}
        totals, capped, blocks = [TOTALS], [CAPPED], []
        for engine, rows in engines.items():
            place = _place(engine)
            states = Counter(row.state for row in rows.values())
            totals += [f'{P}_containers{{{place},state="{state}"}} {states[state]}\n'.encode() for state in STATES]
            left_out = len(rows) - min(len(rows), self._most)
            capped.append(f"{P}_container_series_capped{{{place}}} {left_out}\n".encode())
            blocks += [block for _, block in self._kept[engine].values()]
        page = []
        for family, *parts in zip(FAMILIES, *blocks, strict=True):
            page += [family, *parts]
        return [*page, *totals, *capped]

    def _engine(self, engine: tuple[str, str], rows: Mapping[str, Container]) -> dict[str, tuple[Container, Block]]:
        kept = self._kept.get(engine, {})
        place = _place(engine)
        blocks = {}
        for row in self._shown(rows):
            name = row.ref.name
            known = kept.get(name)
            # The mirror keeps one object while nothing changes.
            blocks[name] = known if known is not None and known[0] is row else (row, self.block(place, row))
        return blocks

    def _shown(self, rows: Mapping[str, Container]) -> Sequence[Container]:
        named: dict[str, Container] = {}
        for row in rows.values():
            other = named.get(row.ref.name)
            if other is None or other.created_at <= row.created_at:
                named[row.ref.name] = row
        if len(named) <= self._most:
            return tuple(named.values())
        return sorted(named.values(), key=lambda row: (row.state not in LIVE_STATES, -row.created_at, row.ref.id))[
            : self._most
        ]

    def block(self, place: str, row: Container) -> Block:
        """The lines of one container, one entry for each family; an empty entry where it has nothing to say."""
        who = f'{place},name="{escape(row.ref.name)}"'
        state = "".join([f'{P}_container_state{{{who},state="{s}"}} {int(s == row.state)}\n' for s in STATES])
        health = code = restarts = oom = start = ""
        if row.health and row.state in LIVE_STATES:
            health = "".join(
                [f'{P}_container_health_state{{{who},health="{h}"}} {int(h == row.health)}\n' for h in HEALTH_STATES]
            )
        if row.exit_code is not None and row.state in ("exited", "dead"):
            code = f"{P}_container_exit_code{{{who}}} {row.exit_code}\n"
        if row.restarts is not None:
            restarts = f"{P}_container_restarts_total{{{who}}} {row.restarts}\n"
        if row.oom_killed is not None:
            oom = f"{P}_container_oom_killed{{{who}}} {int(row.oom_killed)}\n"
        if row.started_at is not None:
            start = f"{P}_container_start_time_seconds{{{who}}} {row.started_at!r}\n"
        what = [("image", row.image), ("id", row.ref.id[:12]), ("project", row.project), ("service", row.service)]
        what += [(name, row.labels.get(label)) for name, label in self._labels]
        pairs = ",".join([f'{name}="{escape(value or "")}"' for name, value in what])
        info = f"{P}_container_info{{{who},{pairs}}} 1\n"
        lines = (state, health, code, restarts, oom, start, info)
        return tuple([text.encode(errors="replace") for text in lines])


def _place(engine: tuple[str, str]) -> str:
    return f'host="{escape(engine[0])}",engine="{escape(engine[1])}"'


def _label_name(label: str) -> str:
    return "label_" + re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _make(options: Options) -> Collect:
    return _Containers(options).collect


scraper = Scraper(name="containers", make=_make)
