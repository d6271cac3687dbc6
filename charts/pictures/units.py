"""Formats values with their units, as short as a panel needs them, and finds the colour of a value."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

COLORS = {
    "green": "#2f9e44",
    "yellow": "#d99b00",
    "orange": "#e8590c",
    "red": "#d6303a",
    "blue": "#2f6fd0",
    "text": "#6b7280",
}
_SECONDS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def format_value(value: float, unit: str, decimals: int | None = None) -> str:
    """The value with its unit, such as `1.5 GiB`. Units are Grafana's names of them."""
    if math.isnan(value) or math.isinf(value):
        return "–"
    match unit:
        case "percentunit":
            return f"{value * 100:.{decimals or 0}f} %"
        case "bytes" | "Bps":
            return f"{_scaled(value, 1024, ('B', 'KiB', 'MiB', 'GiB', 'TiB'))}{'/s' if unit == 'Bps' else ''}"
        case "s":
            size, name = next(((size, name) for size, name in _SECONDS if abs(value) >= size), (1.0, "s"))
            return f"{_short(value / size)} {name}"
        case "cps" | "cpm":
            return f"{_short(value, decimals)}{'/s' if unit == 'cps' else '/min'}"
        case "dateTimeFromNow":
            now = datetime.datetime.now(tz=datetime.UTC).timestamp()
            return f"{format_value(max(0.0, now - value / 1000), 's')} ago"
    return _scaled(value, 1000, ("", "k", "M", "G")).strip() if abs(value) >= 1000 else _short(value, decimals)


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    power = min(len(names) - 1, int(math.log(abs(value), base))) if abs(value) >= 1 else 0
    return f"{_short(value / base**power)} {names[power]}"


def _short(value: float, decimals: int | None = None) -> str:
    if decimals is None:
        decimals = 0 if value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"


def color_of(value: float, thresholds: Mapping[str, Any]) -> str:
    """The colour of the last step that the value has reached."""
    steps = thresholds["steps"]
    reached = [step["color"] for step in steps if step.get("value") is None or value >= step["value"]]
    return COLORS[reached[-1]]


def named(value: float, mappings: list[dict[str, Any]]) -> tuple[str, str] | None:
    """The text and the colour that a mapping gives to a value."""
    for mapping in mappings:
        if found := mapping["options"].get(f"{value:g}"):
            return found["text"], COLORS[found["color"]]
    return None
