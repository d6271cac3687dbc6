"""Charts: Slack's own block where the workspace has it, lines of bars elsewhere, and Slack's limits for any values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import plain_text
from bot.slack import charts, render
from bot.slack.tables import TableFormat
from core.model.replies import Chart, Reply, Text
from core.text import redact
from tests.standins.slack import blocks as slack_blocks

CHART = Chart(
    title="Memory before the end (MiB)",
    labels=("10:00:00", "10:00:15", "10:00:30"),
    series={"memory": (100.0, 200.5, 512.0), "limit": (512.0, 512.0, 512.0)},
    unit="MiB",
)


def shown(*parts, table_format=TableFormat.CHART):
    return render.render_message(Reply(blocks=parts), table_format=table_format)


def kinds(message):
    return [block["type"] for block in message.blocks]


def test_a_workspace_with_charts_gets_a_chart() -> None:
    message = shown(CHART)
    (block,) = message.blocks
    assert block["type"] == "data_visualization"
    assert block["chart"]["type"] == "line"
    assert [series["name"] for series in block["chart"]["series"]] == ["memory", "limit"]
    assert slack_blocks.check(list(message.blocks)).wrong == []
    assert "Memory before the end" in message.text


@pytest.mark.parametrize("table_format", [TableFormat.DATA_TABLE, TableFormat.TABLE, TableFormat.PLAIN])
def test_other_workspaces_get_lines_of_bars(table_format) -> None:
    message = shown(CHART, table_format=table_format)
    assert "data_visualization" not in kinds(message)
    assert "█" in str(message.blocks) and "max 512, last 512 MiB" in str(message.blocks)


def test_a_message_has_at_most_two_charts() -> None:
    assert kinds(shown(CHART, CHART, CHART)).count("data_visualization") == charts.MAX_CHARTS


def test_moments_without_a_value_are_left_out_and_too_few_make_no_chart() -> None:
    gaps = Chart(title="t", labels=("1", "2", "3"), series={"a": (1.0, None, 3.0)})
    (block,) = shown(gaps).blocks
    assert block["chart"]["axis_config"]["categories"] == ["1", "3"]
    one = Chart(title="t", labels=("1", "2"), series={"a": (1.0, None)})
    assert kinds(shown(one)) == ["rich_text"]


def test_the_terminal_shows_bars_and_programs_get_the_values() -> None:
    text = plain_text.render(Reply(blocks=(CHART,)))
    assert "memory  ▂▄█  max 512, last 512 MiB" in text
    assert "10:00:00 to 10:00:30" in text
    assert '"type": "chart"' in plain_text.to_json(Reply(blocks=(CHART,)))


def test_secrets_in_names_are_hidden() -> None:
    secret = "ghp_" + "a1B2" * 9
    found = redact.redact_reply(Reply(blocks=(Chart(title=secret, labels=("1",), series={secret: (1.0,)}),)))
    assert secret not in str(found)


TEXTS = st.text(max_size=80)
VALUES = st.none() | st.floats(min_value=0, max_value=1e12)


@given(
    TEXTS,
    st.lists(TEXTS, min_size=1, max_size=40, unique=True).flatmap(
        lambda labels: st.tuples(
            st.just(labels),
            st.dictionaries(TEXTS, st.lists(VALUES, min_size=len(labels), max_size=len(labels)), max_size=9),
        )
    ),
)
def test_every_limit_of_slack_holds_for_any_chart(title, drawn) -> None:
    labels, series = drawn
    message = shown(Text(text="x"), Chart(title=title, labels=labels, series=series, unit=title))
    assert slack_blocks.check(list(message.blocks)).wrong == []
