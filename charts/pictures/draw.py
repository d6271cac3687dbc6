"""Draws every dashboard as a PNG: asks Prometheus for each panel, makes a page of the answers, and takes a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from charts.pictures import expressions
from charts.pictures.browser import find_chromium, shoot
from charts.pictures.expressions import Times
from charts.pictures.marks import Answer
from charts.pictures.page import page
from charts.pictures.prometheus_answers import PrometheusServer

WIDTH, PHONE = 1120, 390  # CSS pixels
ON_A_PHONE = "quarterdeck-fleet"


def draw(url: str, folder: Path, times: Times, chosen: Mapping[str, str]) -> Iterator[Path]:
    """Yields the pictures as they are made. `chosen`: values of variables; all others are everything. The fleet is
    drawn a second time as a phone shows it."""
    chromium, server = find_chromium(), PrometheusServer(url)
    for dashboard in expressions.load():
        values = {variable["name"]: ".*" for variable in dashboard["templating"]["list"]}
        # A name of container is everywhere but on its own dashboard one of many.
        own = chosen if dashboard["uid"] == "quarterdeck-container" else {}
        filled = {**values, **own, **times.builtin}

        def ask(panel: Mapping[str, Any], filled: Mapping[str, str] = filled) -> Answer:
            return [(target, _series(server, target, filled, times)) for target in panel["targets"]]

        for width in (WIDTH, PHONE) if dashboard["uid"] == ON_A_PHONE else (WIDTH,):
            text, height = page(dashboard, ask, times, width)
            name = dashboard["uid"].removeprefix("quarterdeck-")
            picture = folder / f"dashboard-{name}{'-phone' if width == PHONE else ''}.png"
            shoot(chromium, text, picture, width, height)
            yield picture


def _series(server: PrometheusServer, target: Mapping[str, Any], filled: Mapping[str, str], times: Times) -> Any:
    expr = expressions.fill(target["expr"], filled)
    return server.at(expr, times.end) if target["instant"] else server.over(expr, times)
