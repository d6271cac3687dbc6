"""Points in time in texts: written once, found again, and shown on the reader's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.text import moments

AT = datetime(2026, 11, 30, 14, 5, 7, 123456, tzinfo=UTC)


def test_a_moment_is_rfc_3339_in_utc():
    assert moments.write_time(AT) == moments.write_time(AT.timestamp()) == "2026-11-30T14:05:07Z"
    assert moments.write_time(AT.astimezone(timezone(timedelta(hours=5)))) == "2026-11-30T14:05:07Z"


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
    assert moments.replace(text, lambda at: f"<{at.astimezone(UTC):%H:%M:%S}>") == shown
    assert moments.is_in(text) == (shown != text)


def test_a_terminal_shows_the_zone_and_leaves_out_today(monkeypatch):
    assert moments.utc(AT) == "2026-11-30 14:05:07 UTC"
    assert moments.local(AT, AT) == f"{AT.astimezone():%H:%M:%S %Z}"
    assert moments.local(AT, AT + timedelta(days=3)) == moments.local(AT) == f"{AT.astimezone():%Y-%m-%d %H:%M:%S %Z}"
