"""`menu`: shows a button for each of the most used commands, and one for the list of all. An empty line runs it too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands.spec import Command, Context, Result
from core.model.actions import Action
from core.model.replies import Button, Reply, Text

# Labels and lines.
CHOICES = (
    ("Containers", "ps"),
    ("Incidents", "incidents"),
    ("Events", "events"),
    ("Usage", "stats"),
    ("Engines", "engines"),
    ("All commands", "help"),
)
TEXT = "Choose what to show. Or write a command, such as logs web, or only the name of a container."


async def plan(context: Context) -> Sequence[Action[Any]]:
    return ()


def render(_: Context, results: Sequence[Result]) -> Reply:
    buttons = tuple(Button(label=label, line=line, offered=True) for label, line in CHOICES)
    return Reply(blocks=(Text(text=TEXT),), buttons=buttons)


command = Command(
    name="menu",
    summary="show buttons for the commands that are used most",
    examples=("menu", "/deck"),
    plan=plan,
    render=render,
)
