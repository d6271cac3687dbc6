"""A process that only watches: one engine, its watcher and usage sampler, a store, and the metrics page.

`python -m benchmarks.watch_only URL STATE PORT` runs until its stdin is closed. What it loads is what a watch needs:
no chat, no console, no command, no configuration file. It prints `ready` when the mirror is live.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

from bot import metrics_server
from collectors import engine_watcher, event_processor, exposition, usage_sampler
from core import logs, metrics
from core.store import embedded_server
from core.store.client import Store
from runtimes import engine_registry
from runtimes.inventory.mirror import Mirror


async def main(url: str, state: str, port: str) -> None:
    logs.configure_logging("error")
    Path(state).mkdir(exist_ok=True)
    server = embedded_server.EmbeddedStore(Path(state))
    await server.ensure()
    store = Store.open(server.url)
    counts = metrics.Metrics()
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=url))
    mirror = Mirror(engine)
    watch = engine_watcher.EngineWatcher(engine, mirror, event_processor.EventProcessor(mirror, counts), store, counts)
    tasks = [asyncio.create_task(watch.run()), asyncio.create_task(usage_sampler.UsageSampler(mirror, counts).run())]
    page = exposition.Exposition(counts, lambda: [mirror])

    async def ready() -> tuple[bool, dict[str, Any]]:
        return mirror.live, {}

    listener = socket.create_server(("127.0.0.1", int(port)))
    http = await metrics_server.serve_metrics(listener, page=page.render, ready=ready, refused=lambda reason: None)
    while not mirror.live or mirror.dirty or not mirror.usage.read_at:
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await http.aclose()
    await store.aclose()
    await engine.aclose()
    await server.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
