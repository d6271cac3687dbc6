"""Renders, compresses and caches the metrics page. Rendering takes at most a tenth of the process's time, however many
clients ask.

Rendering blocks the event loop for some milliseconds. The same page is then sent for nine times as long as rendering
took. So a page of 10 ms is at most 90 ms old, and several Prometheus servers cost as much as one. A thread compresses
large pages, each page once.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from core.lazy_dataclass import dataclass
from core.metric_families import Format

Render = Callable[[Format], bytes]
Prepare = Callable[[], Awaitable[None]]

PAUSE = 9  # times the duration of the last rendering
GZIP_LEVEL = 1  # level 6 takes three to six times as long, for a page that is a tenth smaller
SMALL_PAGE = 16 << 10  # bytes; such a page is compressed at once, in 0.1 ms


class MetricsPageCache:
    """Holds the newest page of each format. `prepare` is awaited before a page is rendered; it does what takes long in
    parts. `clock`: in seconds."""

    def __init__(
        self, render: Render, clock: Callable[[], float] = time.perf_counter, *, prepare: Prepare | None = None
    ) -> None:
        self._render, self._prepare = render, prepare
        self._clock = clock
        self._pages: dict[Format, _Page] = {}
        self._compressor = ThreadPoolExecutor(1, "compress metrics")

    async def page(self, form: Format, *, compressed: bool) -> bytes:
        """Returns the page; `compressed`: with gzip."""
        page = self._valid(form)
        if page is None and self._prepare is not None:
            await self._prepare()
            page = self._valid(form)  # another request may have rendered it meanwhile
        if page is None:
            page = self._pages[form] = self._new(form)
        if not compressed:
            return page.plain
        if len(page.plain) <= SMALL_PAGE:
            return page.compress()
        return await asyncio.get_running_loop().run_in_executor(self._compressor, page.compress)

    def close(self) -> None:
        self._compressor.shutdown(wait=False)

    def _valid(self, form: Format) -> _Page | None:
        page = self._pages.get(form)
        return page if page is not None and self._clock() < page.valid_until else None

    def _new(self, form: Format) -> _Page:
        began = self._clock()
        plain = self._render(form)
        ended = self._clock()
        return _Page(plain=plain, valid_until=ended + PAUSE * (ended - began))


@dataclass(slots=True, kw_only=True)
class _Page:
    plain: bytes
    valid_until: float
    gzipped: bytes = b""

    def compress(self) -> bytes:
        if not self.gzipped:
            self.gzipped = gzip.compress(self.plain, GZIP_LEVEL, mtime=0)
        return self.gzipped
