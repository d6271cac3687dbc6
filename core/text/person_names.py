"""Shows people, user groups and channels of Slack by name in a reply, with their ids beside or below.

A reply contains ids, as the policy and the audit do, and its `names` map these ids to names. Programs get the ids. A
person chooses their own name. So it is shown as one short line, and with its id if two people have the same name or if
it could be mistaken for something else. Ids in verbatim lines and in typed command lines stay as they are, so that
people can copy them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from core.model.replies import Block, Fields, Reply, Table, Text
from core.text import sanitize

MAX_NAME = 40  # characters that are shown
MAX_EXPLAINED = 10  # ids that are listed below a reply
IDS = re.compile(
    r"\bslack:[A-Z0-9]{1,24}/[A-Z0-9]{2,24}\b|\bgroup:S[A-Z0-9]{5,24}\b"
    r"|(?<![\w/.:-])[CG]0[A-Z0-9]{6,24}(?![\w/-]|\.\w)"
)
# Columns and fields that hold what people copy.
_COPIED = frozenset({"LINE", "ID", "COMMAND", "id", "line"})
_PLAIN_NAME = re.compile(r"[^\W_](?:[^\W_]|[ .'’_-](?=[^\W_])|[.](?=\Z))*")
_RESERVED = frozenset({"everyone", "channel", "here", "group", "console", "slack", "admin", "root", "nobody", "you"})


def find_ids_in_reply(reply: Reply) -> list[str]:
    """Returns the ids that the reply shows, each once."""
    return list(dict.fromkeys(found[0] for text in _texts(reply) for found in IDS.finditer(text)))


def with_names(reply: Reply) -> Reply:
    """Returns the reply as people read it: with names, and at its end the ids of those in sentences."""
    if not reply.names:
        return reply
    labels = _labels(reply.names)
    explained: dict[str, str] = {}

    def in_sentence(found: re.Match[str]) -> str:
        label = labels.get(found[0])
        if label is None:
            return found[0]
        explained[found[0]] = label
        return label

    def in_cell(found: re.Match[str]) -> str:
        label = labels.get(found[0])
        short = short_id(found[0])
        return found[0] if label is None else label if label.endswith(f"({short})") else f"{label} ({short})"

    blocks = [_named(block, in_sentence, in_cell) for block in reply.blocks]
    if explained:
        shown = [f"{label} is {id_}" for id_, label in list(explained.items())[:MAX_EXPLAINED]]
        more = f" and {len(explained) - MAX_EXPLAINED} more" if len(explained) > MAX_EXPLAINED else ""
        blocks.append(Text(text=f"{', '.join(shown)}{more}."))
    return replace(reply, blocks=blocks)


def short_id(id_: str) -> str:
    """Returns the id without its team or kind."""
    return re.split("[/:]", id_)[-1]


def _labels(names: Mapping[str, str]) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    plain: set[str] = set()
    for id_, name in names.items():
        text = sanitize.single_line(name, MAX_NAME * 2).replace("\t", " ").strip()
        text = text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 1]}…"
        if text:
            sign = "@" if id_.startswith("group:") else "" if id_.startswith("slack:") else "#"
            labels[id_] = f"{sign}{text}"
            if _is_plain(text):
                plain.add(id_)
    counts = Counter(label.casefold() for label in labels.values())
    return {
        id_: label if counts[label.casefold()] == 1 and id_ in plain else f"{label} ({short_id(id_)})"
        for id_, label in labels.items()
    }


def _is_plain(name: str) -> bool:
    """Whether the name cannot be taken for something else, such as an id, a rule or the rest of a sentence."""
    return bool(_PLAIN_NAME.fullmatch(name)) and name.casefold() not in _RESERVED and len(name.split()) <= 4


def _named(block: Block, in_sentence: Callable[[re.Match[str]], str], in_cell: Callable[[re.Match[str]], str]) -> Block:
    match block:
        case Text():
            return replace(block, text=IDS.sub(in_sentence, block.text))
        case Fields():
            fields = {
                name: text if name in _COPIED else IDS.sub(in_sentence, text) for name, text in block.fields.items()
            }
            return replace(block, fields=fields)
        case Table():
            rows = [
                [
                    IDS.sub(in_cell, cell) if isinstance(cell, str) and column not in _COPIED else cell
                    for column, cell in zip(block.columns, row, strict=True)
                ]
                for row in block.rows
            ]
            return replace(block, rows=rows, empty=IDS.sub(in_sentence, block.empty))
    return block


def _texts(reply: Reply) -> Iterator[str]:
    for block in reply.blocks:
        match block:
            case Text():
                yield block.text
            case Fields():
                yield from (text for name, text in block.fields.items() if name not in _COPIED)
            case Table():
                shown = [column not in _COPIED for column in block.columns]
                for row in block.rows:
                    yield from (
                        cell for cell, is_shown in zip(row, shown, strict=True) if is_shown and isinstance(cell, str)
                    )
