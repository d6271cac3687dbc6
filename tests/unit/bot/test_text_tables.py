"""Tables as lines of text: what is left out first where there is little room, and what is never cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.text_tables import fitting_columns, format_table_lines, has_cut_cells, text_width
from core.model.replies import Table, Tone

CONTAINERS = Table(
    columns=("NAME", "STATUS", "IMAGE", "PORTS", "HOST", "ID"),
    rows=(
        ("web", "unhealthy · 2m", "ghcr.io/acme/web:1.27", "8080->80", "prod-eu-1", "4f2a91c0d3e5"),
        ("checkout-worker-1", "up · 3d", "acme/worker:7", "", "prod-eu-2", "77ab01c2d3e4"),
    ),
    priority=("NAME", "STATUS", "HOST"),
)


def test_a_wide_window_shows_everything():
    lines = format_table_lines(CONTAINERS, 100)
    assert lines[0].split() == list(CONTAINERS.columns)
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (90, ["NAME", "STATUS", "IMAGE", "PORTS", "HOST"]),
        (70, ["NAME", "STATUS", "IMAGE", "HOST"]),
        (60, ["NAME", "STATUS", "HOST"]),
        (30, ["NAME", "STATUS"]),
    ],
)
def test_the_least_important_columns_are_left_out_first_and_named(width, shown):
    lines = format_table_lines(CONTAINERS, width)
    left_out = [name for name in CONTAINERS.columns if name not in shown]
    assert lines[0].split() == shown
    assert lines[-1] == f"Not shown: {', '.join(left_out)}. A wider window shows more."
    assert "…" not in "".join(lines)
    assert [CONTAINERS.columns[at] for at in fitting_columns(CONTAINERS, width)] == shown
    assert not has_cut_cells(CONTAINERS, width)


def test_a_pipe_gets_every_character():
    table = Table(columns=("NAME", "WHY"), rows=(("x" * 300, "y " * 300),), wrap=True)
    assert format_table_lines(table, 0)[1] == f"{'x' * 300}  {'y ' * 300}".rstrip()


def test_a_long_name_is_whole_and_the_cells_after_it_are_on_the_next_line():
    name = "k8s_coredns_coredns-5d78c9869d-abcde_kube-system_0"
    table = Table(
        columns=("NAME", "STATUS", "SERVICE"),
        rows=((name, "up · 3d", "kube-system/coredns"), ("web", "exited (1) · 2h", "")),
    )
    assert format_table_lines(table, 60) == [
        f"{'NAME':<22}  STATUS           SERVICE",
        name,
        f"{'':<22}  up · 3d          kube-system/coredns",
        f"{'web':<22}  exited (1) · 2h",
    ]
    events = Table(columns=("TIME", "NAME", "DETAIL"), rows=(("14:05:07", name, "pulled"),), priority=("NAME", "TIME"))
    assert format_table_lines(events, 40) == [
        f"TIME      {'NAME':<22}  DETAIL",
        f"14:05:07  {name}",
        f"{'':<32}  pulled",
    ]


def test_the_second_column_is_cut_only_where_nothing_else_is_left():
    table = Table(columns=("NAME", "STATE", "ID"), rows=(("docker/vm", "down 10 min: connection refused", "4f2a"),))
    assert format_table_lines(table, 24)[1] == "docker/vm  down 10 min:…"
    assert has_cut_cells(table, 24)


def test_a_wrapped_column_is_continued_and_not_left_out():
    table = Table(
        columns=("TIME", "NAME", "HOST", "DETAIL"),
        rows=(("14:05:07", "web", "prod-eu-1", "it ended with code 137 because nobody had any memory left"),),
        priority=("NAME", "TIME"),
        wrap=True,
    )
    assert format_table_lines(table, 40) == [
        "TIME      NAME  DETAIL",
        "14:05:07  web   it ended with code 137",
        "                because nobody had any",
        "                memory left",
        "Not shown: HOST. A wider window shows more.",
    ]


def test_colour_shows_how_good_each_row_is_and_nothing_else():
    tones = (Tone.BAD, Tone.PLAIN)
    table = Table(columns=("NAME", "STATUS"), rows=(("web", "dead"), ("api", "up")), tones=tones, toned="STATUS")
    assert format_table_lines(table, 40, colour=True)[1:] == ["web   \x1b[31mdead\x1b[0m", "api   up"]
    assert "\x1b" not in "".join(format_table_lines(table, 40))


CELLS = st.text(st.sampled_from("ab容- "), max_size=60)


@settings(max_examples=150)
@given(st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=4), st.integers(20, 120), st.booleans())
def test_no_name_is_cut_and_no_other_line_is_too_wide(rows, width, wrap):
    table = Table(columns=("NAME", "B", "C", "D"), rows=rows, wrap=wrap)
    lines = format_table_lines(table, width)
    names = [row[0].rstrip() for row in rows]
    for name in names:
        assert any(line.startswith(name) for line in lines)
    assert all(text_width(line) <= width or line.rstrip() in names or line.startswith("Not shown") for line in lines)
