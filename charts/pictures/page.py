"""Renders a dashboard as an HTML page: the rows and panels at their positions, or below each other as on a phone."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

from charts.pictures import panel_drawing
from charts.pictures.dashboard_queries import Times

CELL = 26  # pixels of one unit of height
GAP, PADDING, TITLE, ROW = 6, 8, 22, 24
STYLE = """
* { box-sizing: border-box; } body { margin: 0; background: #f0f1f4; color: #24292e;
  font: 12px/16px "Liberation Sans", "Helvetica Neue", sans-serif; }
.head { position: absolute; left: 8px; top: 6px; font-size: 16px; font-weight: bold; }
.row { position: absolute; font-weight: bold; padding: 4px 2px; color: #3f4650; }
.panel { position: absolute; background: #fff; border: 1px solid #dcdfe4; border-radius: 3px; padding: 0 8px;
  overflow: hidden; }
.panel > h4 { margin: 0; font: bold 12px/22px "Liberation Sans", sans-serif; white-space: nowrap; overflow: hidden; }
.stat { text-align: center; font-size: 26px; line-height: 30px; padding-top: 14px; } .stat b { display: block; }
.stat.small { font-size: 15px; line-height: 18px; padding-top: 2px; } .stat i { font: 10px/12px sans-serif;
  color: #6b7280; display: block; }
.names { overflow: hidden; font-size: 11px; line-height: 20px; } .names span { margin-right: 10px; white-space: nowrap;
  display: inline-block; max-width: 100%; overflow: hidden; text-overflow: ellipsis; vertical-align: top; }
.more { color: #6b7280; font-size: 11px; line-height: 22px; }
.names i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 4px; }
.bar { position: relative; line-height: 14px; } .bar span { position: absolute; left: 0; max-width: 75%; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; } .bar b { position: absolute; right: 0; }
.bar div { position: absolute; left: 0; right: 0; background: #eceef1; border-radius: 2px; }
.bar i { display: block; height: 100%; border-radius: 2px; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: 2px 8px 2px 0; height: 22px;
  border-bottom: 1px solid #eceef1; max-width: 260px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
svg text { font-size: 10px; fill: #6b7280; } rect, line { shape-rendering: crispEdges; } .grid { stroke: #eceef1; }
"""
Draw = Callable[[Mapping[str, Any], panel_drawing.Answer, int, int, Times], str]
DRAW: dict[str, Draw] = {
    "stat": lambda panel, answer, width, height, times: panel_drawing.stat(panel, answer, width, height),
    "timeseries": panel_drawing.graph,
    "bargauge": lambda panel, answer, width, height, times: panel_drawing.bars(panel, answer, width, height),
    "state-timeline": panel_drawing.timeline,
    "table": lambda panel, answer, width, height, times: panel_drawing.table(panel, answer, width, height),
}


def render_page(
    dashboard: Mapping[str, Any], ask: Callable[[Mapping[str, Any]], panel_drawing.Answer], times: Times, width: int
) -> tuple[str, int]:
    """Returns the page and its height. `ask`: returns the answers of a panel. A page that is narrower than 700 pixels
    has one panel in each row, as Grafana shows it on a phone."""
    places = _stacked(dashboard) if width < 700 else [(one, one["gridPos"]) for one in dashboard["panels"]]
    column = (width - GAP) / 24
    parts, top, end = [f'<div class="head">{html.escape(dashboard["title"])}</div>'], 30, 0
    rows_above = 0
    for panel, place in places:
        rows_above += panel["type"] == "row"
        # A title of a row has a unit of height, but needs less.
        y = top + place["y"] * CELL - rows_above * (CELL - ROW) + (0 if panel["type"] == "row" else CELL - ROW)
        x, size = GAP + place["x"] * column, (place["w"] * column - GAP, place["h"] * CELL - GAP)
        if panel["type"] == "row":
            parts.append(f'<div class="row" style="left:{x:.0f}px;top:{y}px">{html.escape(panel["title"])}</div>')
            continue
        inner = (int(size[0]) - 2 * PADDING - 2, int(size[1]) - TITLE - 4)
        drawn = DRAW[panel["type"]](panel, ask(panel), *inner, times)
        parts.append(
            f'<div class="panel" style="left:{x:.0f}px;top:{y}px;width:{size[0]:.0f}px;height:{size[1]:.0f}px">'
            f"<h4>{html.escape(panel['title'])}</h4>{drawn}</div>"
        )
        end = max(end, int(y + size[1]))
    text = f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>{"".join(parts)}'
    return text, end + GAP


def parts(dashboard: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """Cuts a dashboard between rows into dashboards that are at most `most` units high, if each row is."""
    rows: list[list[dict[str, Any]]] = []
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            rows.append([])
        rows[-1].append(panel)
    cut: list[list[dict[str, Any]]] = []
    end = 0
    for row in rows:
        top = row[0]["gridPos"]["y"]
        height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in row) - top
        if not cut or end + height > most:
            cut, end = [*cut, []], 0
        cut[-1] += [{**panel, "gridPos": {**panel["gridPos"], "y": panel["gridPos"]["y"] - top + end}} for panel in row]
        end += height
    return [{**dashboard, "panels": panels} for panels in cut]


def _stacked(dashboard: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, int]]]:
    places, y = [], 0
    for panel in dashboard["panels"]:
        height = panel["gridPos"]["h"]
        places.append((panel, {"x": 0, "y": y, "w": 24, "h": height}))
        y += height
    return places
