"""The axes and legends of drawn panels: round numbers in one unit, and names that are counted where they do not fit."""

from __future__ import annotations

import pytest

from charts.pictures.axes import choose_value_ticks, time_ticks
from charts.pictures.dashboard_queries import Times
from charts.pictures.panel_drawing import MOST_NAME_ROWS, NAME_ROW, legend_below


@pytest.mark.parametrize(
    ("top", "unit", "texts"),
    [
        (2.2, "short", ["0", "0.5", "1.0", "1.5", "2.0", "2.5"]),
        (0.9, "s", ["0 ms", "200 ms", "400 ms", "600 ms", "800 ms", "1000 ms"]),
        (64 << 20, "bytes", ["0 MiB", "20 MiB", "40 MiB", "60 MiB", "80 MiB"]),
        (1.0, "percentunit", ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]),
        (5400.0, "s", ["0 h", "0.5 h", "1.0 h", "1.5 h"]),
        (12_000.0, "short", ["0 k", "2.5 k", "5.0 k", "7.5 k", "10.0 k", "12.5 k"]),
    ],
)
def test_values_are_round_and_have_one_unit(top: float, unit: str, texts: list[str]) -> None:
    ticks = choose_value_ticks(0.0, top, unit)
    assert [text for _, text in ticks] == texts and ticks[-1][0] >= top * 0.999


def test_whole_things_are_not_divided_and_what_is_below_zero_is_shown() -> None:
    assert [text for _, text in choose_value_ticks(0.0, 1.0, "short", whole=True)] == ["0", "1"]
    assert [text for _, text in choose_value_ticks(-3.0, 5.0, "short")] == ["-4", "-2", "0", "2", "4", "6"]


@pytest.mark.parametrize(("seconds", "first"), [(80.0, "80 s ago"), (180.0, "3 min ago"), (10_800.0, "3 h ago")])
def test_the_time_is_counted_back_from_now(seconds: float, first: str) -> None:
    ticks = time_ticks(Times(begin=0.0, end=seconds, step=1.0, scrape=1.0), 430)
    assert ticks[0][1] == first and ticks[-1] == (seconds, "now")


def test_a_legend_has_as_many_rows_as_it_needs_and_counts_the_rest() -> None:
    names = [(f"series number {number}", "#000") for number in range(40)]
    assert legend_below(names[:2], 470)[1] == NAME_ROW
    text, height = legend_below(names, 470)
    shown = text.count("<i ")
    assert height == MOST_NAME_ROWS * NAME_ROW and f"and {40 - shown} more" in text
