"""Damages recorded answers of engines: strategies of hypothesis for the tests of decoders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

HOSTILE_VALUES: Sequence[Any] = (
    *(None, True, False, [], [None], [[]], ["x", 5], {}, {"": None}, {"a": {"b": {}}}),
    *(0, -1, 5, 10**18, 10**19, 10**30, -(10**30), 0.5, -1e300),
    *("", "x", "--5", "-1", "null", "٣", "\ud800", "\x00\x1b[31m\u202e", "a" * 300, "0.0.0.0:80/tcp"),
    *("0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-13-45T99:99:99Z"),
    {"exitCode": "0", "signal": "9", "oldName": "/x"},
)
HOSTILE_BYTES: Sequence[bytes] = (
    *(b"\xff", b"\x00", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"null", b"1e999", b"-", b"NaN", b"<html>", b"--5"),
    *(b"1" + b"0" * 30, b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"\x80" * 12),
    *(b"]", b"}", b'"', b"\\", b",", b":", b"\n", b"\r\n"),
)


def damaged(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the samples, damaged in a few places: in its JSON values if it is JSON (or lines of JSON), or in its
    bytes."""
    return st.one_of(_damaged_values(samples), _damaged_bytes(samples))


def damaged_bytes(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the samples with a few bytes removed, inserted or changed, or cut off."""
    return _damaged_bytes(samples)


@st.composite
def _damaged_bytes(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 5)):
            case 0:
                data[at : at + draw(st.integers(1, 40))] = b""
            case 1:
                data[at:at] = draw(st.sampled_from(HOSTILE_BYTES))
            case 2:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 3:
                size = draw(st.integers(1, 60))
                data[at:at] = data[max(0, at - size) : at]
            case 4:
                del data[at:]
            case _:
                data[at:at] = draw(st.binary(max_size=8))
    return bytes(data)


@st.composite
def _damaged_values(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    sample = draw(st.sampled_from(samples))
    try:
        value = json.loads(sample)
    except ValueError:
        lines = sample.split(b"\n")
        at = draw(st.integers(0, len(lines) - 1))
        try:
            value = json.loads(lines[at])
        except ValueError:
            return draw(_damaged_bytes((sample,)))
        lines[at] = _encoded(_damage(draw, value))
        return b"\n".join(lines)
    return _encoded(_damage(draw, value))


def _damage(draw: st.DrawFn, value: Any) -> Any:
    for _ in range(draw(st.integers(1, 4))):
        places: list[tuple[Any, Any]] = []
        _collect(value, places)
        if not places:
            return draw(st.sampled_from(HOSTILE_VALUES))
        parent, key = draw(st.sampled_from(places))
        if draw(st.integers(0, 9)) == 0:
            del parent[key]
        else:
            parent[key] = json.loads(json.dumps(draw(st.sampled_from(HOSTILE_VALUES))))
    return value


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            places.append((value, key))
            _collect(inner, places)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            places.append((value, at))
            _collect(inner, places)


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()
