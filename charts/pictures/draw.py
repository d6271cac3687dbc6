"""Draws every dashboard as PNG files: queries Prometheus for each panel, renders pages of the answers, and takes
pictures of them.

A long dashboard has several pictures, cut between rows, so that each is small enough for a page of documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from charts.pictures import dashboard_queries
from charts.pictures.browser import find_chromium, shoot
from charts.pictures.dashboard_queries import Times
from charts.pictures.page import parts, render_page
from charts.pictures.panel_drawing import Answer
from charts.pictures.prometheus_answers import PrometheusServer

WIDTH, PHONE = 1000, 390  # CSS pixels
MOST = 38  # units of height in one picture
ON_A_PHONE = "quarterdeck-fleet"
MOST_ON_A_PHONE = 24  # units, before the panels are placed below each other


def draw_dashboards(url: str, folder: Path, times: Times, chosen: Mapping[str, str]) -> Iterator[Path]:
    """Yields the pictures as they are made. `chosen`: values of variables; all others are everything. The first rows of
    the fleet are drawn a second time, as a phone shows them."""
    chromium, server = find_chromium(), PrometheusServer(url)
    for dashboard in dashboard_queries.load():
        values = {variable["name"]: ".*" for variable in dashboard["templating"]["list"]}
        # A name of container is everywhere but on its own dashboard one of many.
        own = chosen if dashboard["uid"] == "quarterdeck-container" else {}
        filled = {**values, **own, **times.builtin}

        def ask(panel: Mapping[str, Any], filled: Mapping[str, str] = filled) -> Answer:
            return [(target, _series(server, target, filled, times)) for target in panel["targets"]]

        name = dashboard["uid"].removeprefix("quarterdeck-")
        cut = [(f"dashboard-{name}-{number}", WIDTH, part) for number, part in enumerate(parts(dashboard, MOST), 1)]
        if dashboard["uid"] == ON_A_PHONE:
            cut.append((f"dashboard-{name}-phone", PHONE, parts(dashboard, MOST_ON_A_PHONE)[0]))
        for title, width, part in cut:
            text, height = render_page(part, ask, times, width)
            shoot(chromium, text, folder / f"{title}.png", width, height)
            yield folder / f"{title}.png"


def _series(server: PrometheusServer, target: Mapping[str, Any], filled: Mapping[str, str], times: Times) -> Any:
    expr = dashboard_queries.fill(target["expr"], filled)
    return server.at(expr, times.end) if target["instant"] else server.over(expr, times)
