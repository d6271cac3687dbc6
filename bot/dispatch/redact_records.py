"""Masks secrets in the JSON records of a reply.

Most records contain no secret, so many are searched together first. Lines of a log are searched as one text, because a
private key spans many lines. If the search takes too long, the remaining records are left out and counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core import errors
from core.model.replies import Records
from core.text import redact as redact_text
from core.text import redact_json
from core.text.named_secrets import may_be_secret_name
from core.text.secret_search_limit import OutOfTimeError, SecretSearchLimit

SECONDS = 10.0  # of CPU time, for all records of one reply
TOGETHER = 100  # records
LOG_LINE = frozenset({"at", "stream", "text"})


def redact(records: Records) -> Records:
    """Returns the records with their secrets hidden. Takes seconds for megabytes, so call it in a thread."""
    limit = SecretSearchLimit(SECONDS)
    shown: list[Mapping[str, Any]] = []
    if records.records and all(record.keys() >= LOG_LINE for record in records.records):
        shown += _redacted_lines(records.records, limit)
    else:
        for at in range(0, len(records.records), TOGETHER):
            shown += _redacted(records.records[at : at + TOGETHER], limit)
    left_out = records.left_out + max(0, len(records.records) - len(shown))
    failed = tuple({key: redact_text.redact(value) for key, value in error.items()} for error in records.errors)
    return replace(records, records=tuple(shown), errors=failed, left_out=left_out)


def _redacted(records: Sequence[Mapping[str, Any]], limit: SecretSearchLimit) -> Sequence[Mapping[str, Any]]:
    shown = []
    try:
        limit.check(0)
        if _is_clean(records, limit):
            return records
        for record in records:
            limit.check(0)
            with contextlib.suppress(errors.InvalidResponse):  # it takes too long by itself
                shown.append(redact_json.redact_document(dict(record)))
    except OutOfTimeError:
        return shown
    return shown


def _redacted_lines(records: Sequence[Mapping[str, Any]], limit: SecretSearchLimit) -> Sequence[Mapping[str, Any]]:
    """Redacts lines of a log. Where a secret spans lines, each line that is left becomes a record without a time."""
    text = "\n".join(str(record["text"]).replace("\n", " ") for record in records)
    found, _ = redact_text.redact_within(text, limit)
    lines = found.split("\n") if found else []
    if len(lines) == len(records):
        return [{**record, "text": line} for record, line in zip(records, lines, strict=True)]
    return [{**records[0], "at": None, "text": line} for line in lines]


def _is_clean(records: Sequence[Mapping[str, Any]], limit: SecretSearchLimit) -> bool:
    names, texts = set[str](), list[str]()
    for name, value in _walk("", records):
        names.add(name)
        if isinstance(value, str):
            texts.append(value)
    if any(redact_json.hides_values(name) or may_be_secret_name(name) for name in names):
        return False
    text = "\n".join(texts)
    try:
        return redact_text.redact(text, limit) == text
    except OutOfTimeError:
        return False


def _walk(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yields each value that is not a container of values, with the key it is under."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key), None
            yield from _walk(str(key), inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(name, inner)
    else:
        yield name, value
