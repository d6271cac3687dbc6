"""Makes the cell with a button at the end of a row of a data table.

Slack's own reference does not list such cells yet; other clients of its API have them (`action_cell`). A workspace that
refuses them gets tables without buttons, see `bot.slack.format_fallback`.
"""

from __future__ import annotations

from typing import Any

import slackblocks

from bot.slack import buttons, markup
from core.model.replies import Button

CELL = "action_cell"
COLUMN = " "  # the name of the column; Slack refuses an empty one
ACTION_PREFIX = f"{buttons.ACTION_PREFIX}:row"


class ButtonCell(slackblocks.RawText):
    """A cell with a button that gives a command line. A client that cannot show it shows the line."""

    def __init__(self, button: Button, number: int) -> None:
        super().__init__(buttons.one_line(button.line) or markup.NOTHING)
        self._button = button
        self._number = number

    def _resolve(self) -> dict[str, Any]:
        element = {
            "type": "button",
            "text": {"type": "plain_text", "text": buttons.one_line(self._button.label) or markup.NOTHING},
            "action_id": f"{ACTION_PREFIX}-{self._number}",
            "value": self._button.line,
        }
        return {"type": CELL, "element": element, "fallback": {"type": "raw_text", "text": self.text}}


def weight(button: Button) -> int:
    """What a cell with this button counts for in a table: the bytes of its label and of its line."""
    return len((buttons.one_line(button.label) + buttons.one_line(button.line)).encode()) + 2


def has_buttons(block: Any) -> bool:
    """Returns whether a block's JSON has such a cell."""
    return any(cell.get("type") == CELL for row in block.get("rows", ()) for cell in row)
