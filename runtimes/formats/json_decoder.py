"""Decodes all JSON from engines into typed values. Only this module catches the errors of decoding.

If a value does not match its model, its unreadable field, row or line is skipped, counted and logged (`skipped_data`).
The rest is used. InvalidResponse is raised only if nothing of an answer can be used.

A decoder in C blocks the event loop until it ends. So a long list is cut into slices of a quarter of a megabyte, and
the loop runs between two slices. A row of more than a megabyte, and a single document of more than four, are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, TypeVar, cast

import msgspec

from core import errors
from runtimes.formats import json_salvage, skipped_data
from runtimes.formats.skipped_data import SkippedDataCounter

T = TypeVar("T")

MAX_DOCUMENT = 4 << 20  # bytes of one resource, or of a list that is decoded at once
MAX_ROW = 1 << 20  # bytes of one row of a list
SLICE = 1 << 18  # bytes of a long list that are decoded at once
MAX_COMMAS = 3_000_000  # in a list: splitting more rows than this would hold the loop for half a second
MAX_SALVAGED_LINES = 500  # of the lines of a stream that are decoded at once
MAX_UNREADABLE_LINES = 2_000  # of the same lines
TOKENS_AT_ONCE = 20_000  # texts and brackets that this module's own scanner reads until the event loop may run
UNDECODABLE = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What decoders raise. A ValueError is also the error about bytes that are not UTF-8."""
MISSHAPEN = (*UNDECODABLE, TypeError, AttributeError, LookupError)
"""What code that reads a document by its keys raises, too."""
_OPENING, _CLOSING = frozenset(b"[{"), frozenset(b"]}")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}  # by type: making one costs more than decoding
HINT = "Check that Quarterdeck supports this version of the engine."


def decode_json(kind: type[T], body: bytes, skipped: SkippedDataCounter | None = None) -> T:
    """Decodes JSON to a value of the type `kind`, as far as it can be read. Raises InvalidResponse."""
    _check_size(body, skipped)
    try:
        return cast(T, _decoder(kind).decode(body))
    except UNDECODABLE as error:
        found = json_salvage.salvage(kind, body)
        if found is None:
            raise _not_json(error, skipped) from error
        _report(skipped, skipped_data.FIELD, found[1])
        return cast(T, found[0])


def decode_json_object(body: bytes) -> dict[str, Any]:
    """Decodes any JSON object to a dict. Raises InvalidResponse."""
    return decode_json(dict[str, Any], body)


def convert(kind: type[T], value: Any) -> T:
    """Converts JSON data to a value of the type `kind`, as far as it can be read. Raises InvalidResponse."""
    found = json_salvage.salvage_value(kind, value)
    if found is None:
        raise _not_json(None, None)
    return cast(T, found[0])


def decode_rows(kind: type[T], body: bytes, skipped: SkippedDataCounter | None = None) -> list[T]:
    """Decodes a list of rows of the type `kind`. Unreadable rows are left out; null is an empty list. Raises
    InvalidResponse if the body is not a JSON list, or is long."""
    _check_size(body, skipped)
    try:
        return cast(list[T], _decoder(list[kind]).decode(body))  # type: ignore[valid-type]
    except UNDECODABLE as error:
        if body.strip() == b"null":
            return []
        rows = _split(body, skipped)
        if rows is None:
            rows = [row for row in _scan(body) if row is not None]
            if not rows or rows.pop():
                raise _not_json(error, skipped) from error
    return [row for each in rows if (row := _decode_one(kind, each, skipped_data.ROW, skipped)) is not None]


def decode_lines(
    kind: type[T], lines: bytes, skipped: SkippedDataCounter | None, what: str = skipped_data.EVENT
) -> list[T]:
    """Decodes whole lines, each one JSON value of the type `kind`. Unreadable lines are left out and count as
    `what`. So that nonsense does not hold the event loop, at most MAX_SALVAGED_LINES are read in parts, and nothing is
    read after MAX_UNREADABLE_LINES."""
    decoder = _decoder(kind)
    try:
        return cast(list[T], decoder.decode_lines(lines))
    except UNDECODABLE:
        return _decode_each(kind, decoder, lines, skipped, what)


def decode_lines_or_none(kind: type[T], lines: bytes) -> list[T] | None:
    """Decodes whole lines, each one JSON value of the type `kind`. Returns None if any of them is unreadable, or is not
    UTF-8 in a field that `kind` does not have."""
    try:
        if not lines.isascii():
            lines.decode()
        return cast(list[T], _decoder(kind).decode_lines(lines))
    except UNDECODABLE:
        return None


def _decode_each(
    kind: type[T], decoder: msgspec.json.Decoder[Any], lines: bytes, skipped: SkippedDataCounter | None, what: str
) -> list[T]:
    rows: list[T] = []
    each_line = [line for line in lines.split(b"\n") if line.strip()]
    unreadable, reason = 0, ""
    for number, line in enumerate(each_line):
        try:
            rows.append(decoder.decode(line))
        except UNDECODABLE as error:
            unreadable += 1
            if unreadable > MAX_UNREADABLE_LINES:
                unreadable += len(each_line) - number - 1
                break
            if unreadable > MAX_SALVAGED_LINES:
                reason = reason or str(error)
            elif (found := _decode_one(kind, line, what, skipped)) is not None:
                rows.append(found)
    if reason and skipped is not None:
        skipped.add(what, reason, unreadable - MAX_SALVAGED_LINES)
    return rows


async def decode_all_rows(kind: type[T], body: bytes, skipped: SkippedDataCounter | None = None) -> list[T]:
    """Does the same as `decode_rows` for a list of any length, and lets the event loop run meanwhile."""
    return [row async for part in slices(body, skipped) for row in decode_rows(kind, part, skipped)]


async def slices(body: bytes, skipped: SkippedDataCounter | None = None) -> AsyncIterator[bytes]:
    """Cuts a long JSON list into lists of about SLICE bytes each, for `decode_rows`; a short one is returned as it is.
    Lets the event loop run before each further slice. Rows of more than MAX_ROW bytes are left out."""
    if len(body) <= 2 * SLICE:
        yield body
        return
    part: list[bytes] = []
    size, whole = 0, False
    rows: Iterable[bytes | None] | None = _split(body, skipped)
    if rows is None:
        rows = _scan(body)
    else:
        whole = True
    for row in rows:
        if row is None:
            await asyncio.sleep(0)
        elif len(row) > MAX_ROW:
            _report(skipped, skipped_data.ROW, f"a row has more than {MAX_ROW >> 20} MiB")
        elif not row:
            whole = True
        else:
            part.append(row)
            size += len(row)
        if size >= SLICE:
            yield b"[%b]" % b",".join(part)
            await asyncio.sleep(0)
            part, size = [], 0
    if not whole:
        raise _not_json(None, skipped)
    yield b"[%b]" % b",".join(part)


async def line_slices(lines: bytes) -> AsyncIterator[bytes]:
    """Cuts many lines into parts of whole lines of about SLICE bytes each. Lets the event loop run before each further
    part."""
    at = 0
    while len(lines) - at > 2 * SLICE:
        end = lines.find(b"\n", at + SLICE)
        if end < 0:
            break
        yield lines[at:end]
        await asyncio.sleep(0)
        at = end + 1
    yield lines[at:]


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Raises InvalidResponse for any error of code that reads a decoded document by its keys. `what`: the beginning of
    a sentence, such as `The service web`."""
    try:
        yield
    except MISSHAPEN as error:
        raise errors.InvalidResponse(f"{what} does not have the form that Quarterdeck expects.", hint=HINT) from error


def _decode_one(kind: type[T], data: bytes, what: str, skipped: SkippedDataCounter | None) -> T | None:
    try:
        return cast(T, _decoder(kind).decode(data))
    except UNDECODABLE as error:
        found = json_salvage.salvage(kind, data)
        if found is None:
            _report(skipped, what, str(error))
            return None
        _report(skipped, skipped_data.FIELD, found[1])
        return cast(T, found[0])


def _check_size(body: bytes, skipped: SkippedDataCounter | None) -> None:
    if len(body) > MAX_DOCUMENT:
        raise errors.InvalidResponse(
            f"{_sender(skipped)} sent an answer of {len(body) / 1e6:.1f} MB, which is too long to be decoded at once.",
            hint="Use the engine's own command line on its host, such as docker or podman.",
        )


def _report(skipped: SkippedDataCounter | None, what: str, reason: str) -> None:
    if skipped is not None:
        skipped.add(what, reason)


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    found = _DECODERS.get(kind)
    if found is None:
        found = _DECODERS[kind] = msgspec.json.Decoder(kind)
    return found


def _split(body: bytes, skipped: SkippedDataCounter | None) -> list[bytes] | None:
    """Returns the rows of a JSON list as bytes, without decoding them; None if no decoder can split it."""
    if body.count(b",") > MAX_COMMAS:
        raise errors.InvalidResponse(
            f"{_sender(skipped)} sent a list with more than {MAX_COMMAS:,} values.",
            hint="Check with the engine's own command how many resources it has, and remove those that are not used.",
        )
    try:
        return [bytes(row) for row in _decoder(list[msgspec.Raw]).decode(body)]
    except UNDECODABLE:
        return None


def _scan(body: bytes) -> Iterator[bytes | None]:
    """Yields the objects in a JSON list one of which no decoder can read, such as one that is nested too deeply. Yields
    None now and then, and ends without the last row (`b""`) if this is no whole list."""
    depth = begin = 0
    if not body.lstrip().startswith(b"["):
        return
    for count, token in enumerate(_TOKEN.finditer(body), 1):
        at = token.start()
        mark = body[at]
        if mark in _OPENING:
            depth += 1
            if depth == 2:
                begin = at
        elif mark in _CLOSING:
            depth -= 1
            if depth == 1:
                yield body[begin : at + 1]
            elif not depth:
                yield b""
                return
        if count % TOKENS_AT_ONCE == 0:
            yield None


def _not_json(error: Exception | None, skipped: SkippedDataCounter | None) -> errors.InvalidResponse:
    reason = f": {str(error)[:120]}" if isinstance(error, msgspec.MsgspecError) else ""
    return errors.InvalidResponse(f"{_sender(skipped)} sent an answer that cannot be decoded{reason}.", hint=HINT)


def _sender(skipped: SkippedDataCounter | None) -> str:
    return "The engine" if skipped is None else skipped.engine()
