"""How everything here is measured: ways to do one thing in, medians of interleaved rounds out, as a table.

A way is a coroutine function that does the thing once and returns what it measured. In each round every way runs once,
forwards and backwards in turn, so that a machine that slows down slows all of them; ratios are taken within a round
before their median is. The first rounds warm up and are thrown away. Nothing here judges by itself: a goal is a number
next to the one found, and a missed goal is said and does not end the run.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import stage

Once = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One file's worth. `rounds`: how many are measured; enough for a steady median in a few seconds."""

    name: str
    summary: str
    rounds: int
    measure: Callable[[stage.Stage, int], Awaitable[Sequence[Table]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What we want to reach; `most` or `least` is the limit."""

    what: str
    found: float
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool:
        return (self.most is None or self.found <= self.most) and (self.least is None or self.found >= self.least)

    def __str__(self) -> str:
        limit = f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"
        return f"{'met   ' if self.met else 'MISSED'}  {self.what}: {self.found:.3g}, wanted {limit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`rows`: what each way measured, round by round. `ours`: the row the others are compared with; `more_is_better`
    for rates. A row of another number of rounds is shown without a ratio, and all rows if nothing is `compared`.
    `short`: its name in the chart; by default what is before the colon in `title`."""

    title: str
    unit: str
    rows: Mapping[str, Sequence[float]]
    ours: str
    more_is_better: bool = False
    compared: bool = True
    short: str = ""
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = field(default=())

    def advantage(self, row: str) -> float:
        """How many times better ours is than `row`: the median of the rounds' ratios. Below 1 we lose."""
        return ratio(self.rows[self.ours], self.rows[row]) if self.more_is_better else self.ratio(row)

    def ratio(self, row: str) -> float:
        return ratio(self.rows[row], self.rows[self.ours])

    def best(self, row: str) -> float:
        """How many times better ours is than `row` in the best round of each. Other work on the machine makes a round
        worse, never better. So the best round says most about the code."""
        return best_ratio(self.rows[self.ours], self.rows[row], more_is_better=self.more_is_better)

    def as_data(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "short": self.short or self.title.partition(":")[0],
            "compared": self.compared,
            "unit": self.unit,
            "ours": self.ours,
            "more_is_better": self.more_is_better,
            "rows": {name: list(values) for name, values in self.rows.items()},
            "medians": {name: statistics.median(values) for name, values in self.rows.items()},
            "goals": [
                {"what": goal.what, "found": goal.found, "most": goal.most, "least": goal.least, "met": goal.met}
                for goal in self.goals
            ],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        width = max(map(len, self.rows))
        columns = (f"{self.unit} (median)", "lowest", "highest", "ours is", "at best")
        head = f"{'':{width}}  {columns[0]:>16}  {columns[1]:>10}  {columns[2]:>10}  {columns[3]:>9}  {columns[4]:>9}"
        lines = [self.title, head]
        base = len(self.rows[self.ours])
        for name, values in self.rows.items():
            has_ratio = self.compared and len(values) == base and name != self.ours
            compared = f"{f'{self.advantage(name):.2f}x':>9}  {f'{self.best(name):.2f}x':>9}" if has_ratio else ""
            figures = f"{short(statistics.median(values)):>16}  {short(min(values)):>10}  {short(max(values)):>10}"
            lines.append(f"{name:{width}}  {figures}  {compared}".rstrip())
        return "\n".join([*lines, *(f"  {goal}" for goal in self.goals), *(f"  {note}" for note in self.notes)])


def best_ratio(ours: Sequence[float], others: Sequence[float], *, more_is_better: bool = False) -> float:
    return max(ours) / max(others) if more_is_better else min(others) / min(ours)


def ratio(values: Sequence[float], base: Sequence[float]) -> float:
    return statistics.median([value / under for value, under in zip(values, base, strict=True)])


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


async def rounds(ways: Mapping[str, Once], times: int, *, warm: int = 1) -> dict[str, list[float]]:
    """What each way measured in `times` rounds, after `warm` that do not count."""
    kept: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-warm, times):
        for name in ways if number % 2 else reversed(list(ways)):
            gc.collect()
            found = await ways[name]()
            if number >= 0:
                kept[name].append(found)
    return kept


def awaited(work: Callable[[], Awaitable[Any]], *, repeat: int = 1) -> Once:
    """A way that takes as many milliseconds as `work` does, on average over `repeat` calls in a row."""

    async def once() -> float:
        began = time.perf_counter()
        for _ in range(repeat):
            await work()
        return (time.perf_counter() - began) * 1000 / repeat

    return once


def called(work: Callable[[], Any], *, repeat: int = 1, clock: Callable[[], float] = time.perf_counter) -> Once:
    """As `awaited`, for a plain function; it may block, nothing else is going on meanwhile. With `time.process_time` as
    `clock`, it measures CPU time, which other work on the machine changes less."""

    async def once() -> float:
        began = clock()
        for _ in range(repeat):
            work()
        return (clock() - began) * 1000 / repeat

    return once
