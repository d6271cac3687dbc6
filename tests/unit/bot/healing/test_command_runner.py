"""The lines of one try of self-healing, and the time that they may take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bot.healing.command_runner import CommandRunner
from core.model.replies import Ending, Reply, Text

START = 1_700_000_000.0


class Road:
    """Answers each line after `seconds` of the clock."""

    def __init__(self, seconds: float, *endings: Ending) -> None:
        self.now, self.lines = START, list[str]()
        self._seconds, self._endings = seconds, list(endings)

    async def answer(self, inv: Any) -> Reply:
        self.lines.append(inv.line)
        self.now += self._seconds
        ending = self._endings.pop(0) if self._endings else Ending.OK
        return Reply(blocks=(Text(text=f"{inv.line} {ending}"),), ending=ending)

    async def run(self, *lines: str) -> tuple[str, str]:
        policy = SimpleNamespace(name="heal-web", identity="rule:heal-web")
        case: Any = SimpleNamespace(policy=policy, key="k", record=SimpleNamespace(answered=()))
        result = await CommandRunner(self.answer, lambda: self.now).run(case, lines, START)
        return result.outcome, result.text


async def test_a_try_begins_no_line_when_another_process_may_take_it_for_lost_before_its_end() -> None:
    road = Road(70.0)
    outcome, text = await road.run("restart db", "restart api", "restart web", "restart proxy")
    assert road.lines == ["restart db", "restart api"]
    assert outcome == "failed"
    assert "“restart web” and what follows it were not done" in text


@pytest.mark.parametrize(
    ("endings", "outcome", "done"),
    [
        ([], "done", 3),
        ([Ending.NOTHING, Ending.REFUSED], "failed", 2),
        ([Ending.REFUSED], "refused", 1),
        ([Ending.UNKNOWN], "unknown", 1),
    ],
)
async def test_it_ends_with_the_first_line_that_does_not_succeed(endings, outcome, done) -> None:
    road = Road(1.0, *endings)
    assert (await road.run("restart a", "restart b", "restart c"))[0] == outcome
    assert len(road.lines) == done
