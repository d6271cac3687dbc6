"""Sends a message again in a simpler form when Slack refuses its blocks or its text.

Workspaces get new blocks at different times, and Slack does not publish how it counts sizes. So the richest table
format is tried first, then the simpler ones. Slack's errors name the refused blocks. If these are no tables or charts,
only they are removed, and a file has the whole answer. The last form is the text alone, with that file. The caller
remembers which formats the workspace accepts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.slack import blocks, row_buttons
from bot.slack.render import Message, TableFormat
from bot.slack.tables import MAX_ROWS, MAX_TABLE_TEXT
from core import errors

OutgoingMessage = Callable[[TableFormat], Message]
TABLE_BLOCKS, CHART_BLOCK = ("data_table", "table"), "data_visualization"
TOO_LONG_BLOCKS, TOO_LONG_TEXT = "msg_blocks_too_long", "msg_too_long"
REFUSED_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "invalid_attachments", TOO_LONG_BLOCKS})
REFUSED = REFUSED_BLOCKS | {TOO_LONG_TEXT}
SHORT_TEXT = 1_000  # bytes of a text that was too long
_POINTER = re.compile(r"\[json-pointer:/blocks/(\d{1,3})[/\]]")


class SendingWithFallback:
    """Decides how one message is sent. `message`: what to send now. `table_format`: in which format it is."""

    def __init__(self, outgoing: OutgoingMessage, richest: TableFormat) -> None:
        self._outgoing = outgoing
        self.table_format = richest
        self._left_out: frozenset[int] = frozenset()
        self._text_only = self._short = False
        self._unsupported = True
        self.message = outgoing(richest)

    @property
    def supported(self) -> TableFormat | None:
        """The richest format that the workspace accepts, after the message was sent; None if nothing was learned."""
        learned = self._unsupported and not self._left_out and self.message.blocks
        return self.table_format if learned else None

    def simplify(self, error: errors.Undeliverable) -> bool:
        """Chooses the next form after this refusal. Returns False if there is none."""
        if error.code == TOO_LONG_TEXT:
            if self._short:
                return False
            self._short = True
        elif error.code not in REFUSED_BLOCKS or not self.message.blocks:
            return False
        else:
            self._simplify_blocks(error)
        self.message = self._make()
        return True

    def _simplify_blocks(self, error: errors.Undeliverable) -> None:
        shown = self.message.blocks
        blamed = [at for at in _blamed(error.reasons) if at < len(shown)]
        faulty = [shown[at] for at in blamed] or shown
        kinds = {block["type"] for block in faulty}
        if self.table_format is TableFormat.ROW_BUTTONS and any(map(row_buttons.has_buttons, faulty)):
            self._use(TableFormat.LONG_TABLE)
            return
        if self.table_format >= TableFormat.LONG_TABLE and any(map(_is_long, faulty)):
            self._use(TableFormat.CHART)
            return
        self._unsupported = self._unsupported and error.code != TOO_LONG_BLOCKS
        if self.table_format >= TableFormat.CHART and CHART_BLOCK in kinds:
            self._use(TableFormat.DATA_TABLE)
        elif self.table_format is not TableFormat.PLAIN and not kinds.isdisjoint(TABLE_BLOCKS):
            self._use(TableFormat(min(self.table_format, TableFormat.DATA_TABLE) - 1))
        elif self._left_out or not (blamed or error.code == TOO_LONG_BLOCKS):
            self._text_only = True
        else:
            self._left_out = frozenset(blamed or [_heaviest(shown)])
            self._text_only = len(self._left_out) == len(shown)

    def _use(self, table_format: TableFormat) -> None:
        self.table_format, self._left_out = table_format, frozenset()

    def _make(self) -> Message:
        made = self._outgoing(self.table_format)
        if self._text_only:
            made = _text_only(made)
        elif self._left_out:
            made = _without(made, self._left_out)
        return replace(made, text=_cut(made.text)) if self._short else made


def _blamed(reasons: Sequence[str]) -> Sequence[int]:
    """Returns the places of the blocks that Slack's reasons name."""
    return sorted({int(place) for reason in reasons for place in _POINTER.findall(reason)})


def _is_long(block: Mapping[str, Any]) -> bool:
    """Whether this table is longer than what workspaces with the older limits take."""
    rows = block.get("rows", ())
    if block["type"] != "data_table":
        return False
    return len(rows) > MAX_ROWS + 1 or sum(blocks.cell_weight(cell) for row in rows for cell in row) > MAX_TABLE_TEXT


def _heaviest(shown: Sequence[Mapping[str, Any]]) -> int:
    """Returns the place of the block that takes most, but for buttons."""
    weights = [0 if block["type"] == "actions" else len(json.dumps(block)) for block in shown]
    return weights.index(max(weights))


def _without(message: Message, places: Collection[int]) -> Message:
    """The message without these blocks, and with a file that holds everything."""
    kept = [block for at, block in enumerate(message.blocks) if at not in places]
    file = message.whole() if message.whole is not None else message.file
    where = f" The whole answer is in the file {file.name}." if file is not None else ""
    note = {"type": "context", "elements": [{"type": "mrkdwn", "text": f"Slack refused a part of this answer.{where}"}]}
    note["block_id"] = f"{blocks.BLOCK_ID}-refused"
    return replace(message, blocks=(*kept, note), file=file)


def _text_only(message: Message) -> Message:
    """The message's text without blocks: the last thing to try."""
    file, text = message.file, message.text
    if file is None and message.whole is not None and not message.text_is_whole:
        file = message.whole()
        text = f"{text}\nThe whole answer is in the file {file.name}."
    return replace(message, text=text, blocks=(), file=file)


def _cut(text: str) -> str:
    """The beginning of a text: whole words of mrkdwn, so that no mention, no date and no entity is cut."""
    if blocks.text_size(text) <= SHORT_TEXT:
        return text
    cut = text.encode("utf-8", "surrogatepass")[:SHORT_TEXT].decode("utf-8", "ignore")
    if cut.rfind("<") > cut.rfind(">"):
        cut = cut[: cut.rfind("<")]
    words = cut[: max(cut.rfind(" "), cut.rfind("\n"), 0)]
    return f"{words or 'The text is too long for Slack.'} …"
