"""Renders the buttons under a message. Each has a command line as its value, which a click gives."""

from __future__ import annotations

from collections.abc import Sequence

import slackblocks

from bot.slack import blocks
from core.model.replies import Button
from core.text import sanitize

MAX_BUTTONS = 25
MAX_BUTTON_WEIGHT = 4_500  # of all buttons
# Characters:
MAX_LABEL = 75
MAX_VALUE = 2_000
MAX_CONFIRM = 300
ACTION_PREFIX = "deck"  # action ids are deck:0, deck:1, …


def render_buttons(buttons: Sequence[Button]) -> list[slackblocks.Block]:
    """One row of buttons, and a note that counts the buttons that Slack cannot show."""
    elements: list[slackblocks.Element] = []
    left = MAX_BUTTON_WEIGHT
    for button in buttons:
        if len(elements) == MAX_BUTTONS or not fits(button):
            continue
        made = _button(button, len(elements))
        left -= blocks.weight([slackblocks.ActionsBlock(elements=[made])])
        if left < 0:
            break
        elements.append(made)
    row: list[slackblocks.Block] = [slackblocks.ActionsBlock(elements=elements)] if elements else []
    if len(elements) < len(buttons):
        missing = blocks.plural(len(buttons) - len(elements), "button")
        row.append(
            blocks.note(
                f"{missing} left out, because there are too many or the command is too long. Type the command instead."
            )
        )
    return row


def fits(button: Button) -> bool:
    """Returns whether Slack takes the command line as the value of a button."""
    line = button.line
    return bool(one_line(line, 1)) and len(line) <= MAX_VALUE and not any("\ud800" <= sign <= "\udfff" for sign in line)


def _button(button: Button, number: int) -> slackblocks.Button:
    # A confirmation is not confirmed a second time.
    ask = button.danger and not button.line.startswith("confirm ")
    dialogue = slackblocks.ConfirmationDialogue(
        title=slackblocks.PlainText("Are you sure?"),
        text=slackblocks.PlainText(one_line(f"This runs: {button.line}", MAX_CONFIRM)),
        confirm=slackblocks.PlainText("Yes, do it"),
        deny=slackblocks.PlainText("Cancel"),
        style="danger",
    )
    return slackblocks.Button(
        text=slackblocks.PlainText(one_line(button.label) or one_line(button.line)),
        action_id=f"{ACTION_PREFIX}:{number}",
        value=button.line,
        style="danger" if button.danger else None,
        confirm=dialogue if ask else None,
    )


def one_line(text: str, longest: int = MAX_LABEL) -> str:
    """Returns a text for a label: one line of at most so many characters."""
    shown = sanitize.single_line(text).replace("\t", " ").strip()
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
