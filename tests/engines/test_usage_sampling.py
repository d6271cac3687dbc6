"""The regular readings of usage on a live Docker: what a busy, a limited and an idle container show on the page."""

from __future__ import annotations

import asyncio

import pytest

from collectors import usage_sampler
from collectors.exposition import Exposition
from runtimes.engine_registry import EngineAddress
from tests.helpers.watched_engine import WatchedEngine

pytestmark = pytest.mark.engine
P = "quarterdeck_container"


async def test_usage_of_docker_containers_is_on_the_page_and_goes_with_them(dockerd):
    async with WatchedEngine(EngineAddress(kind="docker", url=dockerd.url)) as engine:
        host = {"mem_limit": "64m", "memswap_limit": "64m", "cpu_period": 100_000, "cpu_quota": 10_000}
        await asyncio.to_thread(dockerd.run, "busy", "while :; do :; done", init=False, host=host)
        await asyncio.to_thread(dockerd.run, "idle")
        await engine.until(lambda: all(engine.row(name) is not None for name in ("busy", "idle")))
        await engine.until(lambda: all(engine.row(name).state == "running" for name in ("busy", "idle")))
        sampler = usage_sampler.UsageSampler(engine.mirror, engine.counts)
        page = Exposition(engine.counts, lambda: [engine.mirror])

        def shown(family, name):
            lines = [one for one in page.render().decode().splitlines() if one.startswith(f"{P}_{family}{{")]
            found = [one for one in lines if f'name="{name}"' in one]
            return float(found[0].rsplit(" ", 1)[1]) if found else None

        assert await sampler.sample() == pytest.approx(usage_sampler.INTERVAL_SECONDS, abs=5)
        first = shown("cpu_usage_seconds_total", "busy")
        async with asyncio.timeout(60):
            while not (shown("cpu_usage_seconds_total", "busy") or 0) > first + 0.05:
                await asyncio.sleep(0.2)
                await sampler.sample()
        assert shown("cpu_cfs_throttled_periods_total", "busy") > 0
        assert shown("spec_memory_limit_bytes", "busy") == 64 << 20
        assert shown("spec_memory_limit_bytes", "idle") is None
        assert shown("memory_working_set_bytes", "idle") > 0 and shown("threads", "busy") >= 1
        ref = engine.row("busy").ref
        assert len(engine.mirror.usage.points(ref.id, 0)) >= 2
        await asyncio.to_thread(dockerd.remove, "busy")
        await engine.until(lambda: engine.row("busy") is None)
        assert shown("threads", "busy") is None and shown("threads", "idle") >= 1
