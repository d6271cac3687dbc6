"""Divides the axes of a graph: values by round numbers of their unit, and the time by round spans before now.

All numbers of one axis have the same unit, such as MiB or ms: that of the greatest one. Times are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from charts.pictures.dashboard_queries import Times

PARTS = 5  # of an axis of values, at most
LABEL_WIDTH = 100  # pixels for each text of the time axis
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_SPANS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_UNITS = {
    "bytes": ((1.0, " B"), (1024.0, " KiB"), (1024.0**2, " MiB"), (1024.0**3, " GiB"), (1024.0**4, " TiB")),
    "Bps": ((1.0, " B/s"), (1024.0, " KiB/s"), (1024.0**2, " MiB/s"), (1024.0**3, " GiB/s")),
    "s": ((1e-6, " µs"), (1e-3, " ms"), (1.0, " s"), (60.0, " min"), (3600.0, " h"), (86400.0, " d")),
    "percentunit": ((0.01, " %"),),
    "cps": ((1.0, "/s"),),
    "cpm": ((1.0, "/min"),),
}
_PLAIN = ((1.0, ""), (1e3, " k"), (1e6, " M"), (1e9, " G"))


def choose_value_ticks(bottom: float, top: float, unit: str, *, whole: bool = False) -> Sequence[tuple[float, str]]:
    """Returns the values at which an axis has a line, the last one at or above `top`, and their texts. `whole`: only
    whole numbers are there."""
    size, name = _scale(max(abs(bottom), abs(top)), unit)
    low, high = bottom / size, top / size
    step = _round_step((high - low) / PARTS)
    if whole and size == 1.0:
        step = max(1.0, math.ceil(step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = next(number for number in range(9) if math.isclose(step * 10**number, round(step * 10**number)))
    numbers = range(first, last + 1)
    return [(each * step * size, f"{each * step:.{decimals if each else 0}f}{name}") for each in numbers]


def time_ticks(times: Times, width: float) -> Sequence[tuple[float, str]]:
    """Returns the times at which an axis of so many pixels has a text, and the texts, such as `20 min ago`."""
    span = times.end - times.begin
    most = max(1, int(width / LABEL_WIDTH))
    step = next((each for each in _SPANS if span / each <= most), _SPANS[-1])
    size, name = next(each for each in reversed(_UNITS["s"]) if step >= each[0])
    before = [number * step for number in range(1, int(span / step) + 1)]
    return [*((times.end - each, f"{each / size:g}{name} ago") for each in reversed(before)), (times.end, "now")]


def _scale(greatest: float, unit: str) -> tuple[float, str]:
    scales = _UNITS.get(unit, _PLAIN)
    return next((each for each in reversed(scales) if greatest >= each[0]), scales[0] if greatest else _of_zero(scales))


def _of_zero(scales: Sequence[tuple[float, str]]) -> tuple[float, str]:
    return next((each for each in scales if each[0] == 1.0), scales[0])


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(each * power for each in _ROUND if each * power >= least * (1 - 1e-9))
