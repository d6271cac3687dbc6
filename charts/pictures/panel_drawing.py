"""Draws the answers of one panel as HTML or SVG: values, graphs, bars, timelines and tables.

Each function takes the JSON of the panel and its series, and returns text. It reads and writes no files. `width` and `height` are CSS pixels.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from charts.pictures import axes
from charts.pictures.dashboard_queries import Times
from charts.pictures.prometheus_answers import Series
from charts.pictures.units import COLORS, color_of, format_value, named

PALETTE = ("#3b7dd8", "#e8710a", "#2f9e44", "#9c36b5", "#d6303a", "#0b8a8f", "#b08900", "#5f6b7a", "#e64980", "#74b816")
LEFT, BOTTOM = 52, 16  # pixels for the numbers of the axes
NAME_ROW, MOST_NAME_ROWS = 20, 3
TABLE_ROW = 22
LEAST_BAR = 17  # pixels for a name and its bar
LETTER, AROUND = 6, 25  # pixels of a letter in a legend, and of the colour and the gap beside a name
Points = Sequence[tuple[float, float]]
Answer = Sequence[tuple[Mapping[str, Any], Sequence[Series]]]
"""The targets of a panel with their series."""


def format_legend(target: Mapping[str, Any], series: Series) -> str:
    """Returns the name of a series in the legend, from the query's template."""
    template = target.get("legendFormat", "__auto")
    if template == "__auto":
        return ", ".join(value for name, value in series.labels.items() if name != "__name__") or "value"
    return re.sub(r"{{\s*(\w+)\s*}}", lambda match: series.labels.get(match[1], ""), template)


def all_series(answer: Answer) -> list[tuple[str, Series]]:
    return [(format_legend(target, one), one) for target, found in answer for one in found]


def stat(panel: Mapping[str, Any], answer: Answer, width: int, height: int) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    found = all_series(answer)
    if not found:
        return (
            f'<div class="stat"><b style="color:{COLORS["text"]}">{html.escape(defaults.get("noValue", "–"))}</b></div>'
        )
    shown = []
    for name, series in found[:3]:
        value = series.points[-1][1]
        text, color = named(value, defaults.get("mappings", [])) or (
            format_value(value, defaults["unit"], defaults.get("decimals")),
            color_of(value, defaults["thresholds"]),
        )
        text = name if panel["options"].get("textMode") == "name" else text
        label = f"<i>{html.escape(name)}</i>" if len(found) > 1 else ""
        shown.append(f'<b style="color:{color}">{html.escape(text)}</b>{label}')
    small = " small" if len(found) > 1 or len(shown[0]) > 60 else ""
    return f'<div class="stat{small}">{"".join(shown)}</div>'


def graph(panel: Mapping[str, Any], answer: Answer, width: int, height: int, times: Times) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    found = [(name, [point for point in one.points if point[1] == point[1]]) for name, one in all_series(answer)]
    found = [(name, points) for name, points in found if points]
    names, size = legend_below([(name, PALETTE[at % len(PALETTE)]) for at, (name, _) in enumerate(found)], width)
    height -= size
    lines, below = _stacked(found) if stacked else (found, [])
    steps = [step for step in defaults["thresholds"]["steps"] if step.get("value") is not None]
    values = [value for _, points in lines for _, value in points]
    top, whole = defaults.get("max") or max(values, default=0.0) or 1.0, all(value == int(value) for value in values)
    ticks = axes.choose_value_ticks(min(0.0, *values, 0.0), top, defaults["unit"], whole=whole)
    bottom, top = ticks[0][0], ticks[-1][0]

    def x(at: float) -> float:
        return LEFT + (at - times.begin) / max(1e-9, times.end - times.begin) * (width - LEFT)

    def y(value: float) -> float:
        return 8 + (1 - (min(value, top) - bottom) / (top - bottom)) * (height - BOTTOM - 8)

    drawn = _time_axis(LEFT, width, height, times)
    for value, text in ticks:
        at = y(value)
        drawn += f'<line x1="{LEFT}" x2="{width}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>'
        drawn += f'<text x="{LEFT - 4}" y="{at + 3:.1f}" text-anchor="end">{html.escape(text)}</text>'
    for step in steps:
        if bottom < step["value"] <= top:
            at = y(step["value"])
            drawn += (
                f'<line x1="{LEFT}" x2="{width}" y1="{at:.1f}" y2="{at:.1f}" stroke="{COLORS[step["color"]]}"'
                ' stroke-dasharray="5 4"/>'
            )
    for number in reversed(range(len(lines))):
        color, points = PALETTE[number % len(PALETTE)], lines[number][1]
        if custom.get("drawStyle") == "bars":
            drawn += "".join(
                f'<rect x="{x(at) - 1:.1f}" y="{y(value):.1f}" width="2.4" height="{max(0.0, y(0) - y(value)):.1f}" fill="{color}"/>'
                for at, value in points
                if value > 0
            )
            continue
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        if stacked:
            back = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in reversed(below[number]))
            drawn += f'<polygon points="{path} {back}" fill="{color}"/>'
        else:
            drawn += f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'
    return f'<svg width="{width}" height="{height}">{drawn}</svg>{names}'


def _stacked(found: Sequence[tuple[str, Points]]) -> tuple[list[tuple[str, Points]], list[Points]]:
    """Returns each series on top of those before it, and the line below each. One without a value at some time is 0
    then."""
    sums = dict.fromkeys(sorted({at for _, points in found for at, _ in points}), 0.0)
    lines: list[tuple[str, Points]] = []
    below: list[Points] = []
    for name, points in found:
        below.append(list(sums.items()))
        for at, value in points:
            sums[at] += value
        lines.append((name, list(sums.items())))
    return lines, below


def _time_axis(left: int, width: int, height: int, times: Times) -> str:
    drawn, scale = "", (width - left) / max(1e-9, times.end - times.begin)
    for at, text in axes.time_ticks(times, width - left):
        place = left + (at - times.begin) * scale
        anchor = "end" if place > width - 30 else "middle" if place > left + 30 else "start"
        drawn += f'<text x="{place:.0f}" y="{height - 2}" text-anchor="{anchor}">{text}</text>'
    return drawn


def legend_below(names: Sequence[tuple[str, str]], width: int) -> tuple[str, int]:
    """Returns the names with their colours in rows, as many as there is room for, and the height of the rows."""
    shown, row, used = "", 1, 0
    for number, (name, color) in enumerate(names):
        size = min(width, len(name) * LETTER + AROUND)
        left_over = 0 if number == len(names) - 1 else 80  # pixels for how many are not shown
        if used + size + (left_over if row == MOST_NAME_ROWS else 0) > width:
            if row == MOST_NAME_ROWS:
                shown += f"<span>and {len(names) - number} more</span>"
                break
            row, used = row + 1, 0
        used += size
        shown += f'<span><i style="background:{color}"></i>{html.escape(name)}</span>'
    size = NAME_ROW * row
    return f'<div class="names" style="height:{size}px">{shown or "<span>no series</span>"}</div>', size


def bars(panel: Mapping[str, Any], answer: Answer, width: int, height: int) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    found = all_series(answer)
    size = min(30, max(LEAST_BAR, height // max(1, len(found))))
    most = max(1, height // size)
    top = defaults.get("max") or max((one.points[-1][1] for _, one in found), default=1.0) or 1.0
    rows = []
    for name, one in found[:most]:
        value = one.points[-1][1]
        share = max(0.0, min(1.0, value / top)) * 100
        color = color_of(value, defaults["thresholds"])
        text = format_value(value, defaults["unit"], defaults.get("decimals"))
        rows.append(
            f'<div class="bar" style="height:{size}px"><span>{html.escape(name)}</span><b>{html.escape(text)}</b>'
            f'<div style="height:{8 if size > 24 else 3}px;bottom:{6 if size > 24 else 1}px">'
            f'<i style="width:{share:.1f}%;background:{color}"></i></div></div>'
        )
    if len(found) > most:
        rows[-1] = f'<div class="more">and {len(found) - most + 1} more</div>'
    return "".join(rows) or '<div class="stat small"><b>–</b></div>'


def timeline(panel: Mapping[str, Any], answer: Answer, width: int, height: int, times: Times) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    found = all_series(answer)
    states = {
        value: pair for _, one in found for _, value in one.points if (pair := named(value, defaults["mappings"]))
    }
    names, below = legend_below([states[value] for value in sorted(states)], width)
    height -= below
    found = found[: max(1, (height - BOTTOM) // 20)]
    size, left = min(30, (height - BOTTOM) / max(1, len(found))), min(170, width // 3)
    scale = (width - left) / max(1e-9, times.end - times.begin)
    drawn = _time_axis(left, width, height, times)
    for row, (name, one) in enumerate(found):
        drawn += f'<text x="{left - 6}" y="{(row + 0.5) * size + 4:.1f}" text-anchor="end">{html.escape(name[: left // 6])}</text>'
        for at, value in one.points:
            _, color = named(value, defaults["mappings"]) or ("", COLORS["text"])
            drawn += (
                f'<rect x="{left + (at - times.begin) * scale:.1f}" y="{row * size + 2:.1f}"'
                f' width="{times.step * scale + 0.6:.1f}" height="{min(size - 4, 26):.1f}" fill="{color}"/>'
            )
    return f'<svg width="{width}" height="{height}">{drawn}</svg>{names}'


def table(panel: Mapping[str, Any], answer: Answer, width: int, height: int) -> str:
    columns = _columns(panel)
    rows: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    keys = _shared_labels(answer)
    for number, (_, found) in enumerate(answer):
        value_name = f"Value #{'ABCDEFGHIJ'[number]}" if len(answer) > 1 else "Value"
        for one in found:
            key = tuple(sorted((name, value) for name, value in one.labels.items() if name in keys))
            row = rows.setdefault(key if len(answer) > 1 else (*key, ("", str(len(rows)))), {})
            row |= one.labels | {value_name: one.points[-1][1]}
    lines = ["".join(f"<th>{html.escape(title)}</th>" for title, _ in columns.values())]
    most = max(1, (height - TABLE_ROW) // TABLE_ROW)
    shown = list(rows.values())[: most if len(rows) <= most else most - 1]
    lines += ["".join(_cell(row.get(name), part) for name, (_, part) in columns.items()) for row in shown]
    note = "no rows" if not rows else f"and {len(rows) - len(shown)} more" if len(rows) > len(shown) else ""
    return f'<table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table><div class="more">{note}</div>'


def _shared_labels(answer: Answer) -> set[str]:
    """The labels that the series of all queries have: the merge joins rows by them."""
    sets = [{name for one in found for name in one.labels} for _, found in answer if found]
    return set.intersection(*sets) if sets else set()


def _columns(panel: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The field of each column in its order, with its title and the properties of its override."""
    organize = next(one["options"] for one in panel["transformations"] if one["id"] == "organize")
    overrides = {
        one["matcher"]["options"]: {part["id"]: part["value"] for part in one["properties"]}
        for one in panel["fieldConfig"]["overrides"]
    }
    order = sorted(organize["indexByName"].items(), key=lambda pair: pair[1])
    titles = organize["renameByName"]
    return {name: (titles[name], overrides.get(titles[name], {})) for name, _ in order}


def _cell(value: object, properties: Mapping[str, Any]) -> str:
    if not isinstance(value, float):
        return f"<td>{html.escape(str(value or ''))}</td>"
    if found := named(value, properties.get("mappings", [])):
        return f'<td style="color:{found[1]}">{html.escape(found[0])}</td>'
    color = color_of(value, properties["thresholds"]) if "thresholds" in properties else "inherit"
    return f'<td style="color:{color}">{html.escape(format_value(value, properties.get("unit", "short"), properties.get("decimals")))}</td>'
