"""Renders the metrics page in Prometheus text format 0.0.4: Quarterdeck's own counters and the scrapers' families.

A scraper is a module of `collectors.scrapers` that exports one value, `scraper`. The package is searched for scrapers
once. Each scraper is timed. If a scraper fails, its families are missing and its success metric is 0; the rest of the
page is complete. Scrapers write the text themselves, because there are many series per container and they change
rarely. Rendering never waits for an engine.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import structlog

from core import metrics
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger()

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Collect = Callable[[Sequence[Mirror], float], Iterable[bytes]]
"""Takes the mirrors and the time; returns whole families, each with its HELP and TYPE. It must not block or await."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Holds the page's options. `container_labels` become labels `label_<name>` of `container_info`. An engine has
    series for at most `max_containers`; the others are counted."""

    container_labels: tuple[str, ...] = ()
    max_containers: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraper:
    """One group of families. `make` returns the function that collects them, which may cache its last output. `on`:
    whether it runs by default."""

    name: str
    make: Callable[[Options], Collect]
    on: bool = True


class Exposition:
    """Renders the page. `mirrors` is called at every scrape. `only`: the names of the scrapers to run; by default those
    that are `on`."""

    def __init__(
        self,
        counts: metrics.Metrics,
        mirrors: Callable[[], Sequence[Mirror]],
        *,
        options: Options | None = None,
        scrapers: Sequence[Scraper] | None = None,
        only: Collection[str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        found = discover() if scrapers is None else scrapers
        wanted = {one.name for one in found if one.on} if only is None else set(only)
        if unknown := wanted - {one.name for one in found}:
            raise ValueError(f"there is no scraper {', '.join(sorted(unknown))}")
        self._counts = counts
        self._mirrors = mirrors
        self._now = now
        self._collects = {one.name: one.make(options or Options()) for one in found if one.name in wanted}
        self._failing: set[str] = set()

    def render(self) -> bytes:
        """The whole page. The registry is read last, so that it includes this scrape, and comes first on the page."""
        mirrors = self._mirrors()
        page: list[bytes] = []
        for name, collect in self._collects.items():
            page += self._run(name, collect, mirrors)
        self._counts.mirror_containers.clear()
        self._counts.mirror_live.clear()
        for mirror in mirrors:
            labels = metrics.engine_labels(mirror.ref)
            self._counts.mirror_containers.labels(*labels).set(len(mirror.containers))
            self._counts.mirror_live.labels(*labels).set(mirror.live)
        return b"".join([metrics.render(self._counts), *page])

    def _run(self, name: str, collect: Collect, mirrors: Sequence[Mirror]) -> Sequence[bytes]:
        began = time.perf_counter()
        families: Sequence[bytes] = ()
        try:
            families = tuple(collect(mirrors, self._now()))
        except Exception:
            # A bug in one scraper must not remove the other families from the page.
            if name not in self._failing:
                log.exception("A scraper failed; its families are missing from the metrics page.", scraper=name)
            self._failing.add(name)
        else:
            self._failing.discard(name)
        self._counts.scraper_duration_seconds.labels(name).set(time.perf_counter() - began)
        self._counts.scraper_success.labels(name).set(name not in self._failing)
        return families


def discover() -> Sequence[Scraper]:
    """The scrapers of `collectors.scrapers` by name. Raises for a module without one and for a duplicate name."""
    package = importlib.import_module("collectors.scrapers")
    found: dict[str, Scraper] = {}
    for module in pkgutil.iter_modules(package.__path__, "collectors.scrapers."):
        scraper = getattr(importlib.import_module(module.name), "scraper", None)
        if not isinstance(scraper, Scraper):
            raise TypeError(f"{module.name} must export one value `scraper`, a collectors.exposition.Scraper")
        if scraper.name in found:
            raise ValueError(f"{module.name}: there is already a scraper named {scraper.name}")
        found[scraper.name] = scraper
    return tuple(found[name] for name in sorted(found))


def head(name: str, kind: str, text: str) -> bytes:
    """The HELP and TYPE lines of a family; `name` without the prefix."""
    full = f"{metrics.PREFIX}_{name}"
    return f"# HELP {full} {text}\n# TYPE {full} {kind}\n".encode()


def escape(value: str) -> str:
    """A label value with its special characters escaped and its invisible ones written out: users of the engines choose
    names and labels."""
    value = metrics.visible(value)
    if _SPECIAL.search(value) is None:
        return value
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


_SPECIAL = re.compile(r'[\\"\n]')
