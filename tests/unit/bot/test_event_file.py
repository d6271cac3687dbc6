"""A file with events of an engine, written by the person at the console."""

from __future__ import annotations

import os

import pytest

from bot import event_file
from core import errors
from core.model.events import EventKind

DIED = (
    b'{"status":"die","id":"%s","from":"web:1","Type":"container","Action":"die","Actor":{"ID":"%s","Attributes":'
    b'{"exitCode":"2","image":"web:1","name":"web"}},"scope":"local","time":%d,"timeNano":%d000000000}\n'
)


def line(at: int) -> bytes:
    container = b"1" * 64
    return DIED % (container, container, at, at)


def test_events_are_sorted_by_time_and_blank_lines_are_left_out(tmp_path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1_700_000_009) + b"\n\n" + line(1_700_000_001))
    events = event_file.read_events(str(path))
    assert [(event.kind, event.at_ns // 10**9) for event in events] == [
        (EventKind.DIED, 1_700_000_001),
        (EventKind.DIED, 1_700_000_009),
    ]
    assert events[0].attrs["exit_code"] == "2"


@pytest.mark.parametrize("content", [b"", b"root:x:0:0\n", b'{"a": 1}\n', b"\xff\xfe\x00\n"])
def test_a_file_without_events_is_refused_and_none_of_it_is_shown(tmp_path, content) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(content)
    with pytest.raises(errors.UserError) as caught:
        event_file.read_events(str(path))
    assert "but no events" in caught.value.message
    assert "root:x" not in caught.value.full_message()


def test_a_file_that_is_none_or_too_large_is_refused(tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    missing = tmp_path / "missing"
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(event_file.MAX_BYTES + 1)
    for path in (pipe, missing, huge, tmp_path):
        with pytest.raises(errors.UserError) as caught:
            event_file.read_events(str(path))
        assert caught.value.hint
