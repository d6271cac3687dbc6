"""Points in time in texts: written once, found again, and shown on the reader's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.text import text_timestamps

AT = datetime(2026, 11, 30, 14, 5, 7, 123456, tzinfo=UTC)


def test_a_moment_is_rfc_3339_in_utc():
    assert (
        text_timestamps.format_timestamp(AT)
        == text_timestamps.format_timestamp(AT.timestamp())
        == "2026-11-30T14:05:07Z"
    )
    assert text_timestamps.format_timestamp(AT.astimezone(timezone(timedelta(hours=5)))) == "2026-11-30T14:05:07Z"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("until 2026-11-30T14:05:07Z.", "until <14:05:07>."),
        ("(2026-11-30T14:05:07.123456789Z, 2026-11-30T16:05:07+02:00)", "(<14:05:07>, <14:05:07>)"),
        ("2026-11-30T14:05:07Z", "<14:05:07>"),
        ("2026-11-30 14:05:07", "2026-11-30 14:05:07"),
        ("backup-2026-11-30T14:05:07Z", "backup-2026-11-30T14:05:07Z"),
        ("image:2026-11-30T14:05:07Z-1", "image:2026-11-30T14:05:07Z-1"),
        ("--since=2026-11-30T14:05:07Z", "--since=2026-11-30T14:05:07Z"),
        ("2026-13-30T14:05:07Z", "2026-13-30T14:05:07Z"),
        ("2026-11-30T14:05:07", "2026-11-30T14:05:07"),
        ("", ""),
    ],
)
def test_moments_are_found_in_sentences_and_not_in_names(text, shown):
    assert text_timestamps.replace_timestamps(text, lambda at: f"<{at.astimezone(UTC):%H:%M:%S}>") == shown
    assert text_timestamps.contains_timestamp(text) == (shown != text)


def test_a_terminal_shows_the_zone_and_leaves_out_today(monkeypatch):
    assert text_timestamps.format_utc(AT) == "2026-11-30 14:05:07 UTC"
    assert text_timestamps.format_local(AT, AT) == f"{AT.astimezone():%H:%M:%S %Z}"
    assert (
        text_timestamps.format_local(AT, AT + timedelta(days=3))
        == text_timestamps.format_local(AT)
        == f"{AT.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    )
