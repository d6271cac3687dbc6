"""The drawing of dashboards: variables and units as Grafana has them, and every panel on its page."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import pytest

from charts.pictures.dashboard_queries import Times, fill, load, panels
from charts.pictures.draw import MOST
from charts.pictures.page import parts, render_page
from charts.pictures.panel_drawing import Answer
from charts.pictures.prometheus_answers import Series
from charts.pictures.units import COLORS, color_of, format_value

TIMES = Times(begin=1000.0, end=1600.0, step=15.0, scrape=15.0)
LABELS = {"host": "h1", "engine": "docker", "name": "<b>web</b>", "rule": "crash", "state": "firing", "node": "n1"}


def answers(panel: Mapping[str, Any]) -> Answer:
    points = tuple((1000.0 + 15 * number, float(number % 3)) for number in range(41))
    return [(target, [Series(labels=LABELS, points=points)]) for target in panel["targets"]]


@pytest.mark.parametrize("width", [1120, 390])
@pytest.mark.parametrize("dashboard", load(), ids=lambda one: one["uid"])
def test_every_panel_is_on_the_page(dashboard: dict[str, Any], width: int) -> None:
    text, height = render_page(dashboard, answers, TIMES, width)
    for panel in panels(dashboard):
        assert f"<h4>{html.escape(panel['title'])}</h4>" in text
    assert "<b>web</b>" not in text and height > 500


@pytest.mark.parametrize("dashboard", load(), ids=lambda one: one["uid"])
def test_panels_without_an_answer_are_drawn_too(dashboard: dict[str, Any]) -> None:
    text, _ = render_page(dashboard, lambda panel: [(target, []) for target in panel["targets"]], TIMES, 1120)
    assert text.count('class="panel"') == len(panels(dashboard))


@pytest.mark.parametrize("dashboard", load(), ids=lambda one: one["uid"])
def test_a_long_dashboard_is_cut_between_rows(dashboard: dict[str, Any]) -> None:
    cut = parts(dashboard, MOST)
    assert [panel["id"] for part in cut for panel in part["panels"]] == [panel["id"] for panel in dashboard["panels"]]
    for part in cut:
        places = [panel["gridPos"] for panel in part["panels"]]
        assert part["panels"][0]["type"] == "row" and places[0]["y"] == 0
        one_row = [panel["type"] for panel in part["panels"]].count("row") == 1
        assert one_row or max(place["y"] + place["h"] for place in places) <= MOST


def test_variables_have_their_values_and_regular_expressions_stay() -> None:
    query = 'label_replace(rate(x{host=~"$host", y=~"${y:regex}"}[$__rate_interval]), "a", "$1", "b", "(.*)")'
    filled = fill(query, {"host": "h1", "y": "2"} | TIMES.builtin)
    assert filled == 'label_replace(rate(x{host=~"h1", y=~"2"}[60s]), "a", "$1", "b", "(.*)")'
    with pytest.raises(KeyError):
        fill("$unknown", {})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "percentunit", "50 %"),
        (1536.0, "bytes", "1.50 KiB"),
        (5.0, "bytes", "5 B"),
        (90.0, "s", "1.50 min"),
        (0.0, "s", "0 s"),
        (12_000.0, "short", "12 k"),
        (2.0, "cpm", "2/min"),
        (float("nan"), "s", "–"),
    ],
)
def test_values_have_their_units(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_a_colour_is_that_of_the_last_step_that_was_reached() -> None:
    steps = {
        "steps": [{"color": "green", "value": None}, {"color": "yellow", "value": 1}, {"color": "red", "value": 5}]
    }
    assert [color_of(value, steps) for value in (0, 1, 7)] == [COLORS["green"], COLORS["yellow"], COLORS["red"]]
