"""Selects the rows that a person may see. Also remembers which resources a command searched for.

The policy uses this memory to find out whether a change affects everything that an engine has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from core.model.refs import EngineRef, Key
from core.name_matching import selection
from core.name_matching.match import is_pattern
from core.ports import Query

ROWS_PER_TURN = 100  # rows that are decided on before other tasks run


async def select_rows(rows: Iterable[Any], allowed: Callable[[Any], bool]) -> Sequence[Any]:
    """Returns the allowed rows. Other tasks run in between: to decide on thousands of rows takes a second."""
    found = []
    for number, row in enumerate(rows, 1):
        if allowed(row):
            found.append(row)
        if number % ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
    return found


@dataclass(frozen=True, slots=True)
class Lookup:
    """Holds what one call of `find` looked for, and the rows among which it did: those that the requester may list."""

    query: Query
    rows: Sequence[Any]

    def by_engine(self) -> Iterator[tuple[EngineRef, Set[Key], Set[Key]]]:
        """Yields, for each engine, all its rows, and those that run if there are several."""
        grouped: dict[EngineRef, list[Any]] = {}
        for row in self.rows:
            grouped.setdefault(row.ref.engine, []).append(row)
        for engine, own in grouped.items():
            running = {row.ref.key for row in own if getattr(row, "state", "") == "running"}
            yield engine, {row.ref.key for row in own}, running if len(running) > 1 else set()

    def named_alone(self) -> Set[Key]:
        """Returns the resources that a name selects which is no pattern and selects nothing else."""
        plain = [name for name in self.query.names if not is_pattern(name)]
        found = [selection.match(self.query.kind, name, self.rows).targets for name in plain]
        return {targets[0].ref.key for targets in found if len(targets) == 1}
