"""Runs the command lines of one attempt of self-healing, one after another, and returns their outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from bot.healing.decision_input import DecisionInput
from core import tasks
from core.lazy_dataclass import dataclass
from core.model import healing
from core.model.invocation import Identity, Invocation, Place
from core.model.replies import Ending, Reply, Text

START_SECONDS = 60.0  # within which an act must start
END_SECONDS = 10.0  # for what is recorded after the last line
MAX_REASON = 300  # characters
HEALING_CHANNEL = Place(channel="healing", kind="healing")
OUTCOMES = {Ending.OK: "done", Ending.NOTHING: "done", Ending.REFUSED: "refused", Ending.UNKNOWN: "unknown"}


class RunCommandLine(Protocol):
    """Runs a command line; see bot.dispatch.dispatcher.Dispatcher."""

    async def __call__(self, inv: Invocation, /) -> Reply | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """Reports an attempt. `outcome`: done, failed, unknown or refused; refused only if nothing was done before."""

    outcome: str
    text: str


class CommandRunner:
    """Runs attempts. `run_line`: runs a command line. `now`: the time in seconds since the epoch."""

    def __init__(self, run_line: RunCommandLine, now: Callable[[], float]) -> None:
        self._run_command_line, self._now = run_line, now
        self._late: set[asyncio.Future[Reply | None]] = set()  # those that have not ended in time

    async def run(self, case: DecisionInput, lines: Sequence[str], began: float) -> AttemptResult:
        """Runs the lines until one does not succeed. `began`: when the try was taken, which is a part of the ids of its
        commands: the same try never runs twice."""
        texts: list[str] = []
        outcome = "done"
        for number, line in enumerate(lines):
            if number and self._now() - began > healing.TRY_SECONDS - START_SECONDS:
                outcome = "failed"  # another process may take the try for lost soon
                texts.append(f"“{line}” and what follows it were not done, because the time of this try is over")
                break
            ending, text = await self._run_line(case, line, f"{int(began * 1000)}-{number}", began)
            texts.append(text)
            outcome = OUTCOMES.get(ending, "failed")
            if outcome != "done":
                outcome = "failed" if outcome == "refused" and number else outcome
                break
        return AttemptResult(outcome=outcome, text="; ".join(texts)[:MAX_REASON])

    async def _run_line(self, case: DecisionInput, line: str, number: str, began: float) -> tuple[Ending, str]:
        at = datetime.fromtimestamp(began, UTC)
        inv = Invocation(
            id=f"heal-{case.policy.name}-{case.key}-{number}",
            who=Identity(id=case.policy.identity, name=f"healing rule {case.policy.name}"),
            line=line,
            place=HEALING_CHANNEL,
            at=at,
            deadline=datetime.now(UTC) + timedelta(seconds=START_SECONDS),
            answered_guards=frozenset(case.record.answered),
        )
        work = tasks.start_awaited(f"heal_line {case.policy.name}", self._run_command_line(inv))
        done, _ = await asyncio.wait([work], timeout=healing.TRY_SECONDS - END_SECONDS - (self._now() - began))
        if not done:
            self._late.add(work)
            work.add_done_callback(self._late.discard)
            work.add_done_callback(tasks.report)
            return Ending.UNKNOWN, f"“{line}” did not end in time, and may still be running"
        reply = work.result()
        if reply is None:
            return Ending.UNKNOWN, f"“{line}” was given before and is not repeated"
        text = " ".join(block.text for block in reply.blocks if isinstance(block, Text)).strip()
        return reply.ending, text or f"“{line}”: {reply.ending}"
