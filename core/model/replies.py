"""Defines replies: a few kinds of blocks that both a terminal and Slack can show.

Table cells and lines contain the engines' text, unchanged. The code that prints a reply makes the text safe: it hides
secrets, removes escape sequences and escapes markup.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from typing import Any, BinaryIO

from core.lazy_dataclass import dataclass


class Status(enum.StrEnum):
    """How a change ended. NOOP: there was nothing to do. UNKNOWN: it was sent, and its answer was lost."""

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
    """Rows under named columns; each row has one cell per column. `empty` is the text for no rows. `wrap`: where a line
    is too narrow, the last column is continued on further lines, because its end matters; so are those in `wrapped`.

    `priority`: the columns that matter most, the most important first; the others follow from left to right. Where
    there is too little room, the least important columns are left out before a cell is cut, and the most important one
    is never cut. With `whole`, a terminal shows all columns, however wide. `tones`: how good the state of each row is;
    shown at the column `toned`. `row_buttons`: one for each row, or none; a surface that cannot show them leaves them
    out.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]
    title: str = ""
    empty: str = "Nothing."
    wrap: bool = False
    wrapped: Sequence[str] = ()
    priority: Sequence[str] = ()
    tones: Sequence[Tone] = ()
    toned: str = ""
    whole: bool = False
    row_buttons: Sequence[Button] = ()

    def by_importance(self) -> Sequence[int]:
        """Returns the places of the columns, the most important first. A column that is wrapped comes after the named
        ones, or after the first column: it says what the row is about."""
        order = [self.columns.index(name) for name in self.priority if name in self.columns]
        if self.wrap:
            order = [*(order or [0]), len(self.columns) - 1]
        return list(dict.fromkeys((*order, *range(len(self.columns)))))

    def wrapped_places(self) -> Sequence[int]:
        """Returns the places of the columns that are continued on further lines."""
        last = len(self.columns) - 1
        return [at for at, name in enumerate(self.columns) if name in self.wrapped or (self.wrap and at == last)]

    def only(self, places: Sequence[int]) -> Table:
        """Returns the table with only these columns, in this order."""
        return replace(
            self,
            columns=[self.columns[at] for at in places],
            rows=[[row[at] for at in places] for row in self.rows],
            wrap=self.wrap and bool(places) and places[-1] == len(self.columns) - 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Verbatim lines, monospace: logs, JSON, usage. `secret`: they are a secret that the requester asked for. They are
    not redacted, and only the requester sees them."""

    lines: Sequence[str]
    title: str = ""
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Names and values, in order."""

    fields: Mapping[str, str]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Values over time. `labels`: the moments, 2 to 20, each different; `series`: for each name one value for each
    label, None where it is unknown; `unit`: of all values, such as `MiB`; `axis`: of the labels, such as `UTC`."""

    title: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    unit: str = ""
    axis: str = ""


Block = Text | Table | Lines | Fields | Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button. `line` is a command; a click runs it as if it was typed. `offered`: it is only an offer of what to do
    next, which the dispatcher leaves out if the requester may not run the line, or no engine can."""

    label: str
    line: str
    danger: bool = False
    offered: bool = False


class Ending(enum.StrEnum):
    """How a command ended; for exit codes, metrics and audit."""

    OK = "ok"
    NOTHING = "nothing"
    ASKED = "asked"
    USAGE = "usage"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file for the machine of the requester's console. `content`: at position 0; it is not redacted. `to`: a path
    there, or `-` for the standard output. `name`: the file's own name, for a `to` that is a directory."""

    content: BinaryIO
    to: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What a reply shows, as values for programs: `quarterdeck do --json` prints them. `schema`: the command and the
    version of its records, such as `ps/1`; `records` and `errors`: JSON objects; `left_out`: number of records that
    found no room."""

    schema: str
    records: Sequence[Mapping[str, Any]] = ()
    errors: Sequence[Mapping[str, Any]] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The reply to one command. `everyone`: the whole channel sees it. `private`: only the requester sees it; of an
    announced change, the channel sees the first block. `took`: how long the command ran. `mention`: ids of the user
    groups and people whom a message about an incident notifies, as the configuration names them; no command mentions
    anybody. `download`: what the requester's own console saves, and no chat shows.
    `values`: the values of core.model that the blocks show; None: all that the actions returned. `make_records`: makes
    them for a program, in a thread; `records`: the result, with secrets hidden. Both are None if a person reads the
    blocks. `names`: what the people, groups and channels whose ids it contains are called, as far as known; see
    core.text.person_names."""

    blocks: Sequence[Block]
    buttons: Sequence[Button] = ()
    ending: Ending = Ending.OK
    everyone: bool = False
    private: bool = False
    took: timedelta = timedelta()
    mention: Sequence[str] = ()
    download: Download | None = None
    values: Sequence[Any] | None = None
    make_records: Callable[[], Records] | None = None
    records: Records | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def secret(self) -> bool:
        """Whether only the requester may see it."""
        return any(isinstance(block, Lines) and block.secret for block in self.blocks)


def text_reply(text: str, tone: Tone = Tone.PLAIN, *, ending: Ending = Ending.OK) -> Reply:
    """Returns a reply of one sentence."""
    return Reply(blocks=(Text(text=text, tone=tone),), ending=ending)
