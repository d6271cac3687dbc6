"""The exit code of a program in a container of a slow engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtimes.docker.engine import Docker


@pytest.mark.looptime
async def test_an_engine_that_needs_seconds_to_report_an_exit_code_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Docker(f"unix://{tmp_path}/d.sock")
    body = b'{"Running": false, "ExitCode": 3}'

    async def request(method: str, target: str, seconds: float, **more: Any) -> Any:
        async with asyncio.timeout(seconds):
            await asyncio.sleep(6.0)
        return SimpleNamespace(body=body)

    monkeypatch.setattr(runtime, "_request", request)
    assert await runtime._exit_code("s1", "web") == 3
    await runtime.aclose()
