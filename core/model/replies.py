"""What is said back, before any surface draws it: a few block shapes that a terminal and Slack can both show.

Cells and lines hold raw text from engines. Surfaces make it safe (redaction, escapes, markup); nothing above them may.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta


class Status(enum.StrEnum):
    DONE = "done"
    NOOP = "noop"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Tone(enum.StrEnum):
    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A sentence or paragraph."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under named columns; each row has one cell per column. `empty` is said when there are no rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]
    title: str = ""
    empty: str = "Nothing."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Verbatim lines, monospace: logs, JSON, usage. `secret`: they are one that was asked for, so they are not hidden
    and go to the asker alone."""

    lines: Sequence[str]
    title: str = ""
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Names and values, in order."""

    fields: Mapping[str, str]
    title: str = ""


Block = Text | Table | Lines | Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button is a command line, nothing more; pressing it enters the road like words typed."""

    label: str
    line: str
    danger: bool = False


class Ending(enum.StrEnum):
    """How a command ended, for exit codes, metrics and audit."""

    OK = "ok"
    NOTHING = "nothing"
    ASKED = "asked"
    USAGE = "usage"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    blocks: Sequence[Block]
    buttons: Sequence[Button] = ()
    ending: Ending = Ending.OK
    everyone: bool = False
    took: timedelta = timedelta()

    @property
    def secret(self) -> bool:
        """Whether it may be shown to nobody but the asker."""
        return any(isinstance(block, Lines) and block.secret for block in self.blocks)


def text_reply(text: str, tone: Tone = Tone.PLAIN, *, ending: Ending = Ending.OK) -> Reply:
    return Reply(blocks=(Text(text=text, tone=tone),), ending=ending)
