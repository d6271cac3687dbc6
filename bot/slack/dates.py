"""Renders a text that contains timestamps as rich text: Slack shows them in the time zone of the reader."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import slackblocks

from bot.slack import markup
from core.model import replies
from core.text import text_timestamps

WEIGHT = 60  # characters that a date counts for in a table


def make_date_cell(text: str) -> slackblocks.RichTextBlock:
    """Returns a cell of a table with this text, which has a point in time."""
    elements: list[Any] = [
        RichTextDate(part) if isinstance(part, datetime) else slackblocks.RichText(part)
        for part in text_timestamps.split_timestamps(text)
    ]
    return RichTextCell([slackblocks.RichTextSection(elements)])


def table_in_utc(block: replies.Table) -> replies.Table:
    """The table with its times in UTC, where a cell can hold only text."""
    rows = [
        [
            text_timestamps.replace_timestamps(cell, text_timestamps.format_utc) if isinstance(cell, str) else cell
            for cell in row
        ]
        for row in block.rows
    ]
    return replace(block, rows=rows)


class RichTextCell(slackblocks.RichTextBlock):
    """Rich text as a cell, without a block's id."""

    def _resolve(self) -> dict[str, Any]:
        resolved: dict[str, Any] = super()._resolve()
        return {name: value for name, value in resolved.items() if name != "block_id"}


class RichTextDate(slackblocks.RichText):
    """A date element, which the library does not have. Clients that cannot show it show its text, in UTC."""

    def __init__(self, at: datetime) -> None:
        super().__init__(text_timestamps.format_utc(at))
        self._at = int(at.timestamp())

    def _resolve(self) -> dict[str, Any]:
        return {"type": "date", "timestamp": self._at, "format": markup.DATE_FORMAT, "fallback": self.text}
