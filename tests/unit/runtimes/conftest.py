"""What the tests of several adapters share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.systemd import systemctl
from tests.unit.runtimes.systemd.programs import Programs


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    """On PATH alone before the true ones; the machine counts as booted with systemd."""
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        root = Path(folder)
        root.chmod(0o1777)
        made = Programs(root)
        monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setattr(systemctl, "BOOTED", root)
        yield made
