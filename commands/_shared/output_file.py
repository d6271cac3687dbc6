"""Decides whether the file of a reply is saved on the machine of a console, or shown as text in the reply."""

from __future__ import annotations

from commands.spec import Context
from core import errors
from core.text import command_line

STDOUT = "-"


def choose_output_path(context: Context, *given: str | None) -> str:
    """Returns the path on the machine of the console, `-` for its standard output, or nothing. `given`: the paths that
    were typed. Raises BadUsage for two paths, and for a path in a chat, which has no files."""
    paths = [path for path in given if path]
    if not paths:
        return ""
    if len(paths) > 1:
        raise errors.BadUsage(
            f"Two output files are given: {command_line.abbreviate(paths[0])} and {command_line.abbreviate(paths[1])}.",
            hint="Leave one of them out.",
        )
    if context.place.kind != "console":
        raise errors.BadUsage(
            f"Slack cannot save {command_line.abbreviate(paths[0])} on your machine.",
            hint="Leave the file name out: the reply then shows the file, if it is text. At a"
            " console of Quarterdeck, the option -o FILE saves any file.",
        )
    return paths[0]
