"""Selects the containers that have series of their own on the metrics page, once per scrape, for all scrapers.

A container has series as long as the engine lists it. If the engine has had no contact for some minutes, none of its
containers has. Two containers of one engine may have the same name for a moment, when an event is late: then only the
younger one is shown, because Prometheus refuses a page with a duplicate series. If an engine has more containers than
`max_containers`, running containers are shown first, then younger ones; the number of the others is logged once, and is
a metric.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import structlog

from core import metrics
from core.lazy_dataclass import dataclass
from core.model.actions import ListContainers
from core.model.containers import LIVE_STATES, Container
from core.model.refs import EngineRef
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger()
# A live mirror has contact every 45 s. A short absence makes no gap in a graph; a long one must not look normal.
STALE_AFTER_SECONDS = 300.0
EngineKey = tuple[str, str]
"""The values of the labels `host` and `engine`."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownContainer:
    """One container that has series. `labels`: `host`, `engine` and `name` as text, `host="…",engine="…",name="…"`. The
    same object is returned until the container changes."""

    row: Container
    labels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEngine:
    """One engine whose containers have series. `labels`: `host="…",engine="…"`. `rows`: all its containers, by id.
    `containers`: those that have series, by id. `left_out`: how many have none because of the limit. `mirrors`: usually
    one."""

    labels: str
    mirrors: tuple[Mirror, ...]
    rows: Mapping[str, Container]
    containers: Mapping[str, ShownContainer]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """What one scrape shows. `engines`: those that list containers and have contact; `mirrors`: all watched engines."""

    mirrors: Sequence[Mirror]
    engines: Sequence[ShownEngine]
    now: float


class ContainerSelection:
    """Selects the containers of each engine."""

    def __init__(self, max_containers: int) -> None:
        self._max_containers = max_containers
        self._labelled: dict[EngineKey, Mapping[str, ShownContainer]] = {}  # all containers, by id
        self._over_limit: set[EngineKey] = set()

    def select(self, mirrors: Sequence[Mirror], now: float) -> Scrape:
        """Selects once. `now`: in seconds since the epoch."""
        by_engine: dict[EngineKey, list[Mirror]] = {}
        for mirror in mirrors:
            if now - mirror.last_contact <= STALE_AFTER_SECONDS and ListContainers.verb in mirror.verbs:
                by_engine.setdefault(metrics.engine_labels(mirror.ref), []).append(mirror)
        engines = {key: self._engine(key, found) for key, found in by_engine.items()}
        self._labelled = {key: found for key, found in self._labelled.items() if key in engines}
        self._log_limit({key: engine.left_out for key, engine in engines.items() if engine.left_out})
        return Scrape(mirrors=mirrors, engines=tuple(engines.values()), now=now)

    def _engine(self, key: EngineKey, mirrors: Sequence[Mirror]) -> ShownEngine:
        rows: dict[str, Container] = {}
        for mirror in mirrors:
            rows.update(mirror.containers)
        labels = _text(key)
        before = self._labelled.get(key, {})
        labelled: dict[str, ShownContainer] = {}
        by_name: dict[str, ShownContainer] = {}
        for container_id, row in rows.items():
            shown = before.get(container_id)
            if shown is None or shown.row is not row:  # the mirror returns the same object while nothing changes
                shown = ShownContainer(row, f'{labels},name="{escape(row.ref.name)}"')
            labelled[container_id] = shown
            # By the name on the page: two names may differ only in what is written out there.
            other = by_name.get(shown.labels)
            if other is None or other.row.created_at <= row.created_at:
                by_name[shown.labels] = shown
        self._labelled[key] = labelled
        chosen: Sequence[ShownContainer] = tuple(by_name.values())
        if len(chosen) > self._max_containers:
            chosen = sorted(chosen, key=_order)[: self._max_containers]
        return ShownEngine(
            labels=labels,
            mirrors=tuple(mirrors),
            rows=rows,
            containers={shown.row.ref.id: shown for shown in chosen},
            left_out=len(by_name) - len(chosen),
        )

    def _log_limit(self, left_out: Mapping[EngineKey, int]) -> None:
        """Logs when an engine exceeds the limit, and again only after it did not."""
        for key in left_out.keys() - self._over_limit:
            log.warning(
                "Some containers have no series of their own, because the engine has more than metrics.max_containers.",
                host=key[0],
                engine=key[1],
                max_containers=self._max_containers,
                left_out=left_out[key],
                hint="Remove ended containers, or raise metrics.max_containers in quarterdeck.yaml.",
            )
        self._over_limit = set(left_out)


def engine_text(ref: EngineRef) -> str:
    """The labels of an engine as text: `host="…",engine="…"`."""
    return _text(metrics.engine_labels(ref))


def escape(value: str) -> str:
    """A label value with its special characters escaped, its invisible ones written out, and its length limited: users
    of the engines choose names and labels."""
    value = metrics.visible(value)
    if _SPECIAL.search(value) is None:
        return value
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


_SPECIAL = re.compile(r'[\\"\n]')


def _text(key: EngineKey) -> str:
    return f'host="{escape(key[0])}",engine="{escape(key[1])}"'


def _order(shown: ShownContainer) -> tuple[bool, float, str]:
    return shown.row.state not in LIVE_STATES, -shown.row.created_at, shown.row.ref.id
