"""Renders the metrics page as Prometheus text or as OpenMetrics: Quarterdeck's own counters and the scrapers' families.

A scraper is a module of `collectors.scrapers` that exports one value, `scraper`. The package is searched for scrapers
once. Each scraper is timed. If a scraper fails, its families are missing and its success metric is 0; the rest of the
page is complete. Scrapers return rendered samples, which they may cache: there are many series per container, and they
change rarely. Samples look the same in both formats; this module adds the header of each family. Rendering never waits
for an engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import pkgutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import structlog

from collectors.shown_containers import ContainerSelection, Scrape, ShownContainer
from core import metric_registry, metrics
from core.lazy_dataclass import dataclass
from core.metric_families import Family, Format
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger()
AT_ONCE = 250  # new containers: five milliseconds

Collect = Callable[[Scrape], Sequence[bytes]]
"""Returns the samples of each family of the scraper, in the order of `Scraper.families`. It must not block or await."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Holds the page's options. `container_labels` become labels `label_<name>` of `container_info`. An engine has
    series for at most `max_containers`; the others are counted."""

    container_labels: tuple[str, ...] = ()
    max_containers: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraper:
    """One group of families. `make` returns the function that collects their samples, which may cache its last output.
    `on`: whether it runs by default."""

    name: str
    families: Sequence[Family]
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
        options: Options = Options(),
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
        self._scrapers = [(one, one.make(options)) for one in found if one.name in wanted]
        check_names([*counts.families, *(family for one in found for family in one.families)])
        self._selection = ContainerSelection(options.max_containers)
        self._engines: set[tuple[str, str]] | None = None
        self._known: set[ShownContainer] = set()  # those that the scrapers have seen
        self._failing: set[str] = set()

    async def prepare(self) -> None:
        """Lets the scrapers fill their caches, AT_ONCE new containers at a time, and lets the event loop run meanwhile.
        Else the first page of thousands of containers would hold it."""
        scrape = self._selection.select(self._mirrors(), self._now())
        new = [shown for engine in scrape.engines for shown in engine.containers.values() if shown not in self._known]
        for end in range(AT_ONCE, len(new), AT_ONCE):
            part = self._known | set(new[:end])
            engines = [
                replace(engine, containers={key: one for key, one in engine.containers.items() if one in part})
                for engine in scrape.engines
            ]
            for _, collect in self._scrapers:
                with contextlib.suppress(Exception):  # `render` logs it
                    collect(replace(scrape, engines=tuple(engines)))
            await asyncio.sleep(0)
        self._known = {shown for engine in scrape.engines for shown in engine.containers.values()}

    def render(self, form: Format = Format.TEXT) -> bytes:
        """The whole page. The registry is read last, so that it includes this scrape, and comes first on the page."""
        mirrors = self._mirrors()
        self._forget_engines(mirrors)
        scrape = self._selection.select(mirrors, self._now())
        page: list[bytes] = []
        for scraper, collect in self._scrapers:
            page += self._run(scraper, collect, scrape, form)
        self._counts.mirror_containers.clear()
        self._counts.mirror_live.clear()
        for mirror in mirrors:
            labels = metrics.engine_labels(mirror.ref)
            self._counts.mirror_containers.labels(*labels).set(len(mirror.containers))
            self._counts.mirror_live.labels(*labels).set(mirror.live)
        end = metric_registry.OPENMETRICS_END if form is Format.OPENMETRICS else b""
        return b"".join([metrics.render(self._counts, form), *page, end])

    def _forget_engines(self, mirrors: Sequence[Mirror]) -> None:
        """Removes the series of engines that are not watched any more, and those of the name that an engine had before
        it reported its own."""
        engines = {metrics.engine_labels(mirror.ref) for mirror in mirrors}
        if engines != self._engines:
            self._engines = engines
            self._counts.keep_engines(engines)

    def _run(self, scraper: Scraper, collect: Collect, scrape: Scrape, form: Format) -> Sequence[bytes]:
        began = time.perf_counter()
        name = scraper.name
        page: list[bytes] = []
        try:
            for family, samples in zip(scraper.families, collect(scrape), strict=True):
                page += (family.head(form), samples)
        except Exception:
            page = []
            # A bug in one scraper must not remove the other families from the page.
            if name not in self._failing:
                log.exception("A scraper failed. Its metrics are missing from the metrics page.", scraper=name)
            self._failing.add(name)
        else:
            self._failing.discard(name)
        self._counts.scraper_duration_seconds.labels(name).set(time.perf_counter() - began)
        self._counts.scraper_success.labels(name).set(name not in self._failing)
        return page


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


def check_names(families: Sequence[Family]) -> None:
    """Raises ValueError if two families would have the same name, in any of the formats."""
    names: set[str] = set()
    for family in families:
        endings = ("_bucket", "_count", "_sum") if family.kind == "histogram" else ()
        for name in {family.name, family.base_name, *(f"{family.name}{ending}" for ending in endings)}:
            if name in names:
                raise ValueError(f"there are two families named {name}")
            names.add(name)
