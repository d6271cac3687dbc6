"""Tests when a message that repeats is logged."""

from __future__ import annotations

from core.repeated_log import RepeatedLog


def test_a_message_is_logged_when_its_reason_changes_then_once_an_hour() -> None:
    at = 0.0
    repeated = RepeatedLog(lambda: at)
    assert repeated.due("refused after 1.5 s") == 1
    for _ in range(9):
        at += 60
        assert repeated.due("refused after 99 s") == 0
    assert repeated.due("no such file") == 1
    assert repeated.due("refused after 2 s") == 1
    for _ in range(59):
        at += 60
        assert repeated.due("refused after 3 s") == 0
    at += 60
    assert repeated.due("refused after 3 s") == 60


def test_the_same_trouble_after_it_was_over_is_logged_again() -> None:
    repeated = RepeatedLog(lambda: 0.0)
    assert not repeated.ended()
    assert repeated.due("refused") == 1
    assert repeated.due("refused") == 0
    assert repeated.ended()
    assert not repeated.ended()
    assert repeated.due("refused") == 1
