"""What a process that died left behind: each invocation is told by one process, once, and nothing is repeated.

`record` is kept from the moment an invocation enters until its reply was delivered. Found without its process, it has
done nothing (begun), may have done something (intent: audited and said as unknown), or was done and not told (ended).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Container
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from bot.dispatch import audit
from core.model.identity import Invocation, Place
from core.model.replies import Button, Reply, Text, Tone
from core.store import records
from core.store.client import Store
from core.store.records import Phase

T = TypeVar("T")
LONGEST = 1500  # characters of an outcome kept for telling it later


class Record(msgspec.Struct, frozen=True):
    """`again`: whether `line` is the words as they were said; with a secret hidden in them they cannot be repeated."""

    invocation: str
    who: str
    name: str
    place: Place
    line: str
    again: bool


class Ended(msgspec.Struct, frozen=True):
    ending: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """`posted`: where its surface had said something already, in the surface's own words."""

    id: str
    who: str
    name: str
    place: Place
    line: str
    text: str
    reply: Reply
    posted: bytes = b""


def record(inv: Invocation) -> bytes:
    line = audit.said(inv)
    return msgspec.json.encode(
        Record(invocation=inv.id, who=inv.who.id, name=inv.who.name, place=inv.place, line=line, again=line == inv.line)
    )


def ended(reply: Reply) -> bytes:
    """The outcome in a few words."""
    text = " ".join(block.text for block in reply.blocks if isinstance(block, Text))
    return msgspec.json.encode(Ended(ending=reply.ending, text=text[:LONGEST]))


async def recover(store: Store, trail: audit.Audit, doors: Container[str]) -> AsyncIterator[Unfinished]:
    """Those that came in through one of these doors (`console`, `slack`), now ours to tell. Each is taken when the one
    before was told, so that a death on the way loses one at most. Raises StoreDown."""
    for lost in await store.unfinished():
        was = _read(lost)
        if was.who.partition(":")[0] not in doors or not await store.take_unfinished(lost.id, seen=lost.phase):
            continue
        buttons: tuple[Button, ...] = ()
        match lost.phase:
            case Phase.INTENT:
                text = "Quarterdeck ended while this ran. Whether it happened is not known; nothing is repeated."
                row = {"invocation": was.invocation, "who": was.who, "place": was.place.channel, "line": was.line}
                await trail.lost(row, _decoded(lost.detail, list[dict[str, str]]) or [{}], text)
                buttons = (Button(label="Look", line="ps -a"),)
            case Phase.ENDED:
                end = _decoded(lost.detail, Ended)
                how = end.text if end else "How it ended stands in the audit."
                text = f"Quarterdeck was restarted before it could tell you. {how}"
            case _:
                # Where something was said already, it was a read that went on, such as followed logs.
                how = (
                    "while this went on; nothing was changed" if lost.posted else "before doing this; nothing was done"
                )
                text = f"Quarterdeck was restarted {how}."
                if was.again and not was.line.lower().startswith(("confirm ", "cancel ")):
                    buttons = (Button(label="Run again", line=was.line),)
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


def _read(lost: records.Unfinished) -> Record:
    # Written by another version: what can still be said is that it was left, to the log.
    return _decoded(lost.record, Record) or Record(
        invocation=lost.id, who="console:", name="", place=Place(channel=""), line="a command", again=False
    )


def _decoded(data: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None
