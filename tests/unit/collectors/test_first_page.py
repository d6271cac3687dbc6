"""The first page of thousands of containers is prepared in parts, between which the event loop runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from collectors import exposition
from collectors.exposition import Exposition, Options, Scraper
from collectors.shown_containers import Scrape
from core import metrics
from core.metric_families import Family, Format
from core.model.containers import Container
from runtimes.inventory.mirror import Mirror
from tests.unit.collectors.test_metrics_page import NOW, mirror_of, row

FAMILY = Family(name="quarterdeck_test_seen", kind="gauge", text="Containers", labels=("host", "engine", "name"))


class Noting:
    """A scraper that notes how many containers each call shows it for the first time."""

    def __init__(self) -> None:
        self.seen: set[object] = set()
        self.new: list[int] = []

    def collect(self, scrape: Scrape) -> Sequence[bytes]:
        shown = {one for engine in scrape.engines for one in engine.containers.values()}
        self.new.append(len(shown - self.seen))
        self.seen |= shown
        return [b"".join(sorted(f"{FAMILY.name}{{{one.labels}}} 1\n".encode() for one in shown))]


def page_of(mirror: Mirror, noting: Noting) -> Exposition:
    scraper = Scraper(name="noting", families=(FAMILY,), make=lambda options: noting.collect)
    return Exposition(metrics.Metrics(), lambda: [mirror], options=Options(), scrapers=[scraper], now=lambda: NOW)


def rows(count: int, first: int = 0) -> list[Container]:
    return [row(f"web-{number}") for number in range(first, first + count)]


async def test_new_containers_are_shown_to_the_scrapers_a_few_at_a_time() -> None:
    mirror, noting = mirror_of(*rows(1_200)), Noting()
    page = page_of(mirror, noting)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    await page.prepare()
    task.cancel()
    assert max(noting.new) <= exposition.AT_ONCE
    assert len(noting.new) == 4 and turns >= 3
    text = page.render(Format.TEXT)
    assert noting.new[-1] <= exposition.AT_ONCE and sum(noting.new) == 1_200
    assert text.count(FAMILY.name.encode() + b"{") == 1_200


async def test_the_page_is_the_same_and_known_containers_need_no_preparation() -> None:
    mirror, noting = mirror_of(*rows(600)), Noting()
    page = page_of(mirror, noting)
    await page.prepare()
    prepared = page.render().split(FAMILY.name.encode(), 1)[1]
    assert prepared == page_of(mirror, Noting()).render().split(FAMILY.name.encode(), 1)[1]
    calls = len(noting.new)
    mirror.replace(rows(600) + rows(10, first=600), 2)
    await page.prepare()
    assert len(noting.new) == calls  # ten are few enough for one page
    page.render()
    mirror.replace(rows(1_200), 3)
    await page.prepare()
    page.render()
    assert max(noting.new) <= exposition.AT_ONCE
    assert len(noting.seen) == 1_200


async def test_a_scraper_that_fails_does_not_end_the_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, noting = mirror_of(*rows(600)), Noting()
    page = page_of(mirror, noting)

    def broken(scrape: Scrape) -> Sequence[bytes]:
        raise RuntimeError

    monkeypatch.setattr(page, "_scrapers", [(page._scrapers[0][0], broken)])
    await page.prepare()
    assert b"scraper_success" in page.render()
