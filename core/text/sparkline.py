"""Draws numbers as a line of bars, where there is no chart: `▁▂▅█`."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def draw_sparkline(values: Sequence[float | None]) -> str:
    """Returns one bar for each value, the highest for the greatest value; a space for an unknown one."""
    top = max((value for value in values if value is not None), default=0.0) or 1.0
    return "".join(" " if value is None else BARS[round(max(0.0, value) / top * (len(BARS) - 1))] for value in values)
