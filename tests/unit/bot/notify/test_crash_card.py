"""The first entry of an incident's thread, for what is known and for what is not."""

from __future__ import annotations

import pytest

from bot import plain_text
from bot.notify.crash_card import EXIT_CODES, Evidence, PastContainerEnd, crash_card, exit_code_in_words
from core.model.end_causes import Cause, CauseKind
from core.model.incidents import merge_alert
from core.model.past_run_settings import settings_of
from core.model.replies import Chart, Lines
from core.model.resource_usage import Point
from tests.helpers.alerts import alert

SECOND = 1_000_000_000
MIB = 1 << 20
INCIDENT = merge_alert(
    None, alert(cause=Cause(kind=CauseKind.OUT_OF_MEMORY, text="out of memory (exit code 137)"), team="payments")
)
assert INCIDENT is not None


def point(at: int, memory: float | None = None, cpu: float | None = None) -> Point:
    return Point(at, cpu, memory, None, None, None, None)


def card(**evidence) -> str:
    return plain_text.render(crash_card(INCIDENT, Evidence(**evidence)))


def test_without_evidence_the_card_says_what_the_incident_knows() -> None:
    text = card()
    for word in ("container web@docker/h1", "crash (medium)", "out of memory (exit code 137)", "payments", INCIDENT.id):
        assert word in text
    for word in ("Exit code", "Memory", "Changed", "log lines"):
        assert word not in text


@pytest.mark.parametrize(
    ("code", "words"),
    [(137, "SIGKILL"), (143, "SIGTERM"), (139, "segmentation fault"), (3, "own code"), (-1, "own code"), (300, "own")]
    + [(code, words) for code, words in EXIT_CODES.items()],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert words in exit_code_in_words(code)


def test_a_kill_whose_cause_is_known_is_not_guessed_at() -> None:
    assert "memory ran out" in exit_code_in_words(137)
    assert exit_code_in_words(137, cause_known=True) == "ended by SIGKILL"


def test_memory_against_its_limit_around_the_end() -> None:
    points = [point(100, 100 * MIB), point(115, 500 * MIB), point(127, 480 * MIB)]
    text = card(ended_ns=130 * SECOND, exit_code=137, points=points, memory_limit=512 * MIB)
    assert "480 MiB of 512 MiB (94 %), 3 s before the end; at most 500 MiB" in text
    assert "no limit" in card(ended_ns=130 * SECOND, points=points)
    assert "limit 512 MiB" in card(memory_limit=512 * MIB)


def test_what_changed_since_the_last_good_run() -> None:
    good = settings_of("a", 1_700_000_000.0, {"Image ID": "sha256:1", "Environment": "PATH"})
    now = settings_of("b", 0.0, {"Image ID": "sha256:2", "Environment": "PATH, TOKEN"})
    text = card(now=now, good=good)
    assert "Changed since the last good run (2023-11-14T22:13:20Z):" in text
    assert "Image ID: sha256:1 → sha256:2" in text and "Environment: TOKEN added" in text
    assert "Nothing of its image, command, limits and environment changed" in card(now=now, good=now)
    assert "No good run of it is known" in card(now=now)


def test_recent_ends_and_log_lines() -> None:
    text = card(ends=[PastContainerEnd(at_ns=2 * SECOND, why="crashed")], log=["a", "b"])
    assert "Recent ends" in text and "1970-01-01T00:00:02Z  crashed" in text
    assert "The last 2 log lines" in text
    assert not [block for block in crash_card(INCIDENT, Evidence(log=[])).blocks if isinstance(block, Lines)]


def test_usage_is_a_chart_of_at_most_twenty_moments() -> None:
    points = [point(at, at * MIB, 50.0) for at in range(0, 1800, 15)]
    charts = [
        block
        for block in crash_card(INCIDENT, Evidence(points=points, memory_limit=2048 * MIB)).blocks
        if isinstance(block, Chart)
    ]
    assert [sorted(chart.series) for chart in charts] == [["limit", "memory"], ["cpu"]]
    for chart in charts:
        assert len(chart.labels) == len(set(chart.labels)) <= 20
        assert all(len(values) == len(chart.labels) for values in chart.series.values())
    assert charts[0].series["memory"][-1] == points[-1].at, "the last reading is the most important one"
    assert not [block for block in crash_card(INCIDENT, Evidence(points=points[:1])).blocks if isinstance(block, Chart)]
