"""Reports the commands that were unfinished when their process died. One process reports each command, once; no command
is run again.

The store holds a record of each command until the reply was delivered. The phase in the record is the last step of the
command before its process died. BEGUN: nothing was changed. INTENT: a change may have happened. It is audited and
reported as UNKNOWN, except the actions whose outcome was recorded. ENDED: the change has ended, but its reply was not
delivered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Mapping, Sequence
from typing import TypeVar

import msgspec

from bot.dispatch import audit
from core.lazy_dataclass import dataclass
from core.model.invocation import Invocation, Place
from core.model.replies import Button, Reply, Text, Tone
from core.store import records
from core.store.client import Store
from core.store.records import Phase

T = TypeVar("T")
MAX_TEXT = 1500  # characters of a reply stored for reporting it later
NO_BUTTON = ("confirm ", "cancel ")  # commands that cannot be given again: their question may be gone


async def take_over(store: Store, rows: audit.Audit, sources: Container[str]) -> AsyncIterator[Unfinished]:
    """Takes over the unfinished invocations that came from one of these sources (`console`, `slack`), and yields their
    reports.

    Each invocation is taken after the one before was reported, so a process that dies meanwhile loses at most one
    report. The audit rows of an invocation are written in the same step. Raises StoreDown.
    """
    for lost in await store.unfinished():
        was = _read(lost)
        if was.who.partition(":")[0] not in sources:
            continue
        text, unknown, buttons = _report(lost, was)
        row = {"invocation": was.invocation, "who": was.who, "place": was.place.channel, "line": was.line}
        lines = rows.unknown_rows(row, unknown, text)
        if not await store.take_unfinished(lost, audit=lines):
            continue
        rows.count("outcome", len(lines))
        reply = Reply(blocks=(Text(text=f"{was.line}: {text}", tone=Tone.WARN),), buttons=buttons)
        yield Unfinished(
            id=lost.id,
            who=was.who,
            name=was.name,
            place=was.place,
            line=was.line,
            text=text,
            reply=reply,
            posted=lost.posted,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Holds what to report to the requester of one unfinished invocation. `posted`: where its chat message is, as the
    chat package wrote it."""

    id: str
    who: str
    name: str
    place: Place
    line: str
    text: str
    reply: Reply
    posted: bytes = b""


class Record(msgspec.Struct, frozen=True):
    """Holds an invocation as stored. `again`: whether `line` can be given again; not if a secret in it was hidden."""

    invocation: str
    who: str
    name: str
    place: Place
    line: str
    again: bool


class Ended(msgspec.Struct, frozen=True):
    """Holds how an ended change is reported if its process dies before the reply."""

    ending: str
    text: str


def record(inv: Invocation) -> bytes:
    """Encodes an invocation for its record in the store."""
    line = audit.redacted_line(inv)
    return msgspec.json.encode(
        Record(invocation=inv.id, who=inv.who.id, name=inv.who.name, place=inv.place, line=line, again=line == inv.line)
    )


def ended(reply: Reply) -> bytes:
    """Encodes the text of a redacted reply for the store, when its change ends."""
    text = " ".join(block.text for block in reply.blocks if isinstance(block, Text))
    return msgspec.json.encode(Ended(ending=reply.ending, text=text[:MAX_TEXT]))


def _report(lost: records.Unfinished, was: Record) -> tuple[str, Sequence[Mapping[str, str]], tuple[Button, ...]]:
    """What to report, which targets have an unknown outcome, and the buttons."""
    if lost.phase is Phase.INTENT:
        targets = _decoded(lost.detail, list[dict[str, str]]) or [{}]
        unknown = [target for index, target in enumerate(targets) if index not in lost.outcomes]
        known = [
            f"{_shown(target)}: {lost.outcomes[index]}"
            for index, target in enumerate(targets)
            if index in lost.outcomes
        ]
        if not unknown:
            return f"Quarterdeck was restarted before it could reply. {', '.join(known)}.", (), ()
        subject = f" for {', '.join(map(_shown, unknown))}" if known else ""
        text = (
            "Quarterdeck ended while this command ran. "
            + (f"{', '.join(known)}. " if known else "")
            + f"It is not known whether the change was made{subject}. Quarterdeck does not"
            " repeat it. Check with: ps -a"
        )
        return text, unknown, (Button(label="Look", line="ps -a"),)
    if lost.phase is Phase.ENDED:
        end = _decoded(lost.detail, Ended)
        result = end.text if end else "The audit has the result."
        return f"Quarterdeck was restarted before it could reply. {result}", (), ()
    if lost.posted:
        # A chat message before any change: a read that went on, such as followed logs.
        text = "Quarterdeck was restarted while this command ran. The command changed nothing."
    else:
        text = "Quarterdeck was restarted before this command ran. Nothing was done."
    again = was.again and not was.line.lower().startswith(NO_BUTTON)
    return text, (), (Button(label="Run again", line=was.line),) if again else ()


def _shown(target: Mapping[str, str]) -> str:
    """The targets of one action without their ids, as the audit's `target` has them."""
    return ", ".join(each.partition("#")[0] for each in target.get("target", "").split(", "))


def _read(lost: records.Unfinished) -> Record:
    # If another version wrote it, the log at least reports that something was left.
    return _decoded(lost.record, Record) or Record(
        invocation=lost.id, who="console:", name="", place=Place(channel=""), line="a command", again=False
    )


def _decoded(data: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None
