"""Pages of a Docker log: newer daemons send lines again that are older than the cursor."""

from __future__ import annotations

import pytest

from core import errors
from core.model.actions import ReadLogs
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import LogPage
from runtimes.formats import timestamps
from tests.helpers.prepared_daemon import PreparedDaemon

WEB = Ref(engine=EngineRef(host="host7", kind="docker"), kind=Kind.CONTAINER, id="abc", name="web")


def log(*lines: tuple[int, str, int]) -> tuple[int, bytes]:
    """An answer of lines: their nanosecond, text and stream."""
    body = b""
    for at, text, stream in lines:
        line = f"2026-01-02T03:04:05.{at:09d}Z {text}\n".encode()
        body += bytes([stream, 0, 0, 0]) + len(line).to_bytes(4, "big") + line
    return 200, body


async def page(daemon: PreparedDaemon, **more: object) -> LogPage:
    found: LogPage = await daemon.do(ReadLogs(engine=WEB.engine, target=WEB, **more))  # type: ignore[arg-type]
    return found


def texts(found: LogPage) -> list[str]:
    return [line.text for line in found.lines]


async def test_lines_older_than_the_cursor_are_not_shown_again(daemon: PreparedDaemon) -> None:
    """Lines of stdout and stderr overtake each other; from 26 on, `since` lets all lines after the first match pass."""
    daemon.answers["/containers/abc/logs"] = log((5, "a", 1), (9, "c", 1), (7, "b", 2))
    first = await page(daemon)
    assert texts(first) == ["a", "c", "b"]
    daemon.answers["/containers/abc/logs"] = log((9, "c", 1), (7, "b", 2), (12, "d", 1))
    more = await page(daemon, cursor=first.cursor)
    assert texts(more) == ["d"]
    assert "since=1767323045.000000009" in daemon.asked[-1]
    daemon.answers["/containers/abc/logs"] = log((9, "c", 1), (7, "b", 2), (12, "d", 1))
    assert texts(await page(daemon, cursor=more.cursor)) == []


async def test_lines_of_one_time_are_each_shown_once(daemon: PreparedDaemon) -> None:
    daemon.answers["/containers/abc/logs"] = log((5, "a", 1), (5, "b", 1))
    first = await page(daemon)
    daemon.answers["/containers/abc/logs"] = log((5, "a", 1), (5, "b", 1), (5, "c", 1), (4, "old", 2))
    more = await page(daemon, cursor=first.cursor)
    assert texts(more) == ["c"]
    daemon.answers["/containers/abc/logs"] = log((5, "a", 1), (5, "b", 1), (5, "c", 1))
    again = await page(daemon, cursor=more.cursor)
    assert (texts(again), again.cursor) == ([], more.cursor)


async def test_an_answer_with_only_old_lines_leaves_the_cursor(daemon: PreparedDaemon) -> None:
    daemon.answers["/containers/abc/logs"] = log((3, "old", 1))
    found = await page(daemon, cursor="2026-01-02T03:04:05.000000009Z/1")
    assert (texts(found), found.cursor) == ([], "2026-01-02T03:04:05.000000009Z/1")


async def test_since_leaves_out_what_is_older(daemon: PreparedDaemon) -> None:
    daemon.answers["/containers/abc/logs"] = log((5, "a", 1), (9, "c", 1), (7, "b", 2))
    since_ns = timestamps.parse_nanoseconds("2026-01-02T03:04:05.000000009Z")
    assert texts(await page(daemon, since_ns=since_ns)) == ["c"]


@pytest.mark.parametrize("cursor", ["x", "2026-01-02T03:04:05Z/x", "2026-01-02T03:04:05Z/-1", "2026-13-02T03:04:05Z/1"])
async def test_a_position_that_is_none_is_refused(daemon: PreparedDaemon, cursor: str) -> None:
    with pytest.raises(errors.InvalidResponse, match="not a valid position"):
        await page(daemon, cursor=cursor)
