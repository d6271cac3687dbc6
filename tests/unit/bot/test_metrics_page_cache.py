"""How often the page is rendered and compressed, by a clock of the test."""

from __future__ import annotations

import asyncio
import gzip
import threading

import pytest

from bot import metrics_page_cache
from bot.metrics_page_cache import MetricsPageCache
from core.metric_families import Format


class Renderer:
    """Each page takes `seconds` and says its number."""

    def __init__(self, seconds: float = 0.01, size: int = 1) -> None:
        self.seconds, self.size = seconds, size
        self.now = 0.0
        self.rendered = 0

    def clock(self) -> float:
        return self.now

    def render(self, form: Format) -> bytes:
        self.now += self.seconds
        self.rendered += 1
        return f"{form} {self.rendered}\n".encode() * self.size


async def test_rendering_takes_a_tenth_of_the_time_at_most() -> None:
    renderer = Renderer(seconds=0.02)
    pages = MetricsPageCache(renderer.render, renderer.clock)
    requests = 0
    while renderer.now < 10.0:
        await pages.page(Format.TEXT, compressed=False)
        renderer.now += 0.001
        requests += 1
    assert requests > 5000
    assert renderer.rendered * renderer.seconds == pytest.approx(1.0, abs=0.1)
    pages.close()


async def test_a_page_is_new_when_the_last_one_is_old() -> None:
    renderer = Renderer(seconds=0.01)
    pages = MetricsPageCache(renderer.render, renderer.clock)
    assert await pages.page(Format.TEXT, compressed=False) == b"text 1\n"
    renderer.now += 0.089
    assert await pages.page(Format.TEXT, compressed=False) == b"text 1\n"
    assert await pages.page(Format.OPENMETRICS, compressed=False) == b"openmetrics 2\n"
    renderer.now += 0.002
    assert await pages.page(Format.TEXT, compressed=True) == gzip.compress(b"text 3\n", 1, mtime=0)
    pages.close()


async def test_a_failure_is_not_stored() -> None:
    renderer = Renderer()

    def render(form: Format) -> bytes:
        page = renderer.render(form)
        if renderer.rendered == 1:
            raise ZeroDivisionError
        return page

    pages = MetricsPageCache(render, renderer.clock)
    with pytest.raises(ZeroDivisionError):
        await pages.page(Format.TEXT, compressed=False)
    assert await pages.page(Format.TEXT, compressed=False) == b"text 2\n"
    pages.close()


async def test_a_large_page_is_compressed_once_and_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on while a thread compresses, and a client that left takes nothing from the others."""
    began, go = threading.Event(), threading.Event()
    compressed: list[str] = []

    def slowly(page: bytes, level: int, *, mtime: int) -> bytes:
        compressed.append(threading.current_thread().name)
        began.set()
        assert go.wait(10)
        return b"compressed"

    monkeypatch.setattr(metrics_page_cache.gzip, "compress", slowly)  # type: ignore[attr-defined]
    renderer = Renderer(size=metrics_page_cache.SMALL_PAGE)
    pages = MetricsPageCache(renderer.render, renderer.clock)
    requests = [asyncio.ensure_future(pages.page(Format.TEXT, compressed=True)) for _ in range(5)]
    assert await asyncio.to_thread(began.wait, 10)
    assert len(await pages.page(Format.TEXT, compressed=False)) > metrics_page_cache.SMALL_PAGE
    requests.pop(0).cancel()
    go.set()
    assert await asyncio.gather(*requests) == [b"compressed"] * 4
    assert compressed == ["compress metrics_0"] and renderer.rendered == 1
    pages.close()


async def test_a_page_is_prepared_before_it_is_rendered_and_once_for_requests_at_the_same_time() -> None:
    renderer = Renderer()
    steps: list[str] = []

    async def prepare() -> None:
        steps.append("prepare")
        await asyncio.sleep(0)

    def render(form: Format) -> bytes:
        steps.append("render")
        return renderer.render(form)

    pages = MetricsPageCache(render, renderer.clock, prepare=prepare)
    both = await asyncio.gather(*(pages.page(Format.TEXT, compressed=False) for _ in range(2)))
    assert both == [f"{Format.TEXT} 1\n".encode()] * 2
    assert steps == ["prepare", "prepare", "render"]
    await pages.page(Format.TEXT, compressed=False)
    assert steps == ["prepare", "prepare", "render"]
