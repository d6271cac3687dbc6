"""Durations in Docker's words, and short."""

from __future__ import annotations

import pytest

from core.text import durations


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5399, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_durations_read_as_docker_words_them(seconds: float, words: str) -> None:
    assert durations.format_duration_in_words(seconds) == words


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Up Less than a second", "0s"),
        ("Up 2 minutes (unhealthy)", "2m"),
        ("Exited (137) About an hour ago", "1h"),
        ("Restarting (1) About a minute ago", "1m"),
        ("Up 3 weeks", "3w"),
        ("Up 7 months (Paused)", "7mo"),
        ("Exited (0) 2 years ago", "2y"),
        ("Created", ""),
        ("", ""),
    ],
)
def test_a_duration_within_a_status_is_short(text: str, short: str) -> None:
    assert durations.shorten(text) == short
