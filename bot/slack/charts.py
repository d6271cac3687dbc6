"""Renders a chart as Slack's own chart block, or as lines of bars where a workspace has no charts."""

from __future__ import annotations

from collections.abc import Mapping

import slackblocks

from bot import plain_text
from bot.slack import blocks
from bot.slack.tables import TableFormat
from core.model import replies
from core.text import sanitize

# Slack's limits, in characters and numbers:
MAX_TITLE, MAX_NAME, MAX_LABEL, MAX_UNIT = 50, 20, 20, 50
MAX_CHARTS, MAX_SERIES, MAX_POINTS, MIN_POINTS = 2, 6, 20, 2


def render_chart_block(
    block: replies.Chart, *, budget: int, table_format: TableFormat, file_name: str
) -> blocks.RenderedBlock:
    """Renders a chart that fits into `budget` bytes of JSON. Slack takes only moments at which all series have a
    value; if there are too few, the chart is rendered as lines."""
    known = [at for at in range(len(block.labels)) if all(values[at] is not None for values in block.series.values())]
    # Slack wants each label and each name once, also after they are cut.
    labels = {_short(block.labels[at], MAX_LABEL): at for at in known[-MAX_POINTS:]}
    if table_format >= TableFormat.CHART and block.series and len(labels) >= MIN_POINTS:
        found = _chart(block, labels)
        if blocks.weight([found]) <= budget:
            return blocks.RenderedBlock(blocks=[found])
    lines = replies.Lines(lines=plain_text.chart_lines(block), title=block.title)
    return blocks.lines(lines, budget=budget, file_name=file_name)


def _chart(block: replies.Chart, labels: Mapping[str, int]) -> slackblocks.DataVisualizationBlock:
    """`labels`: the moments, with their places in the values."""
    named = {_short(name, MAX_NAME): values for name, values in list(block.series.items())[:MAX_SERIES]}
    series = [
        slackblocks.DataSeries(
            name=name,
            data=[slackblocks.DataPoint(label, round(float(values[at] or 0.0), 3)) for label, at in labels.items()],
        )
        for name, values in named.items()
    ]
    unit = _short(block.unit, MAX_UNIT) if block.unit else None
    axes = slackblocks.AxisConfig(categories=list(labels), x_label=block.axis or None, y_label=unit)
    title = _short(block.title, MAX_TITLE)
    return slackblocks.DataVisualizationBlock(title=title, chart=slackblocks.LineChart(series=series, axis_config=axes))


def _short(text: str, most: int) -> str:
    """One line that is never empty: a chart shows its texts as they are."""
    return sanitize.single_line(text, most).strip()[:most].strip() or "-"
