"""Names of signals and their numbers."""

from __future__ import annotations

import signal

import pytest

from core import errors
from runtimes.formats import signals


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("TERM", 15),
        ("term", 15),
        ("SIGTERM", 15),
        ("15", 15),
        ("SIGKILL", 9),
        ("hup", 1),
        ("12", 12),
        (" usr1 ", 10),
        ("SIGRTMIN+3", int(signal.SIGRTMIN) + 3),
        ("RTMIN", int(signal.SIGRTMIN)),
        ("RTMAX-2", int(signal.SIGRTMAX) - 2),
    ],
)
def test_a_signal_is_a_name_or_a_number(name: str, number: int) -> None:
    assert signals.parse_signal_number(name) == number


@pytest.mark.parametrize(
    "name",
    ["", "0", "99", "999", "-9", "NOPE", "NOSUCH", "SIGRTMIN+x", "RTMIN+99", "RTMAX-99", "TERM; rm", "15\n", "¹", "_X"],
)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(errors.BadUsage, match="is not a signal") as caught:
        signals.parse_signal_number(name)
    assert caught.value.hint
