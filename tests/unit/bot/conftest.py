"""Shortens a wait of the product in the tests of the bot: they know when the engine of the test has done its work."""

from __future__ import annotations

import pytest

from runtimes.compose import project_restart, scale


@pytest.fixture(autouse=True)
def _new_containers_need_not_run_for_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scale, project_restart):
        monkeypatch.setattr(module, "MIN_UPTIME", 0.2)
