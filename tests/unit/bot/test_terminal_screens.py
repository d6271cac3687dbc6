"""Golden screens: replies of commands in a terminal of 80 columns, with colours."""

from __future__ import annotations

import os
import re

import pytest

from bot import plain_text
from bot.text_tables import text_width
from core.text import text_timestamps
from tests.helpers.paths import GOLDEN
from tests.unit.bot.slack import samples, samples_engines

WIDTH = 80
SAMPLES = {**samples.SAMPLES, **samples_engines.SAMPLES}
NAMES = ("ps-12", "ps-250", "services", "images", "engines", "events", "audit", "nodes", "pods", "stats")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_terminal_of_80_columns_shows(name: str) -> None:
    text = (
        plain_text.render(SAMPLES[name][1], WIDTH, colour=True, clock=lambda at: text_timestamps.format_utc(at)[11:])
        + "\n"
    )
    plain = re.sub(r"\x1b\[[0-9]+m", "", text)
    table = [line for line in plain.split("\n") if "  " in line]
    assert max(map(text_width, table)) <= WIDTH
    golden = GOLDEN / "terminal" / f"{name}.{WIDTH}.txt"
    if os.environ.get("GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text(), "run with GOLDEN=1 to rewrite it, then review the difference"


def test_every_golden_screen_is_still_made() -> None:
    assert {file.name for file in (GOLDEN / "terminal").iterdir()} == {f"{name}.{WIDTH}.txt" for name in NAMES}
