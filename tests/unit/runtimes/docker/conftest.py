from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtimes.docker.engine import Docker
from tests.helpers.prepared_daemon import PreparedDaemon, prepared_daemon


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[PreparedDaemon]:
    async with prepared_daemon(Docker, tmp_path / "d.sock", Api_Version="1.45") as made:
        made.answers["/info"] = (200, b'{"ID": "d1", "Name": "host7"}')
        yield made
