"""The executions of a real dockerd: each is counted once, without a value of its own, live and after a reconnection."""

from __future__ import annotations

import asyncio
from collections import Counter

from core.model.events import is_execution, number_of
from runtimes import engine_registry
from tests.daemons.docker import private_dockerd

EXECUTIONS = 12


def execute(dockerd, container: str) -> None:
    for number in range(EXECUTIONS):
        made = dockerd.api.exec_create(container, ["sh", "-c", f'echo "{number} > <&" ä'])
        dockerd.api.exec_start(made["Id"])


async def read(stream, until: str) -> list:
    """Events up to the first one with this action."""
    found = []
    async with asyncio.timeout(60):
        while not any(event.action == until for event in found):
            found += await anext(stream)
    return found


def numbers(events) -> Counter:
    counted = Counter()
    for event in events:
        if is_execution(event):
            counted[event.action] += number_of([event])
    return counted


async def test_executions_are_folded_and_lose_nothing():
    with private_dockerd() as dockerd:
        container = dockerd.run("web", "exec sleep 3600", labels={"env": "test"})
        runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=dockerd.url))
        stream = runtime.events(None)
        try:
            await anext(stream)  # it is open
            await asyncio.to_thread(execute, dockerd, container)
            await asyncio.to_thread(dockerd.api.kill, container, "KILL")
            live = await read(stream, "die")
        finally:
            await stream.aclose()
        expected = {"exec_create": EXECUTIONS, "exec_start": EXECUTIONS, "exec_die": EXECUTIONS}
        assert numbers(live) == expected
        assert all(event.folded for event in live if is_execution(event))
        (end,) = [event for event in live if event.action == "die"]
        assert (end.subject.id, end.attrs["exit_code"], end.folded) == (container, "137", 0)

        stream = runtime.events(1)
        try:
            again = await read(stream, "die")
        finally:
            await stream.aclose()
        assert numbers(again) == expected
        assert not any(event.folded for event in again), "what is replayed keeps its identity"
        await runtime.aclose()
