"""Thousands of rows are decided on in turns with other tasks, and nothing is left out."""

import asyncio
import itertools

from bot.dispatch import visible_rows
from core.ports import Query
from tests.unit.bot.dispatch import world as worlds


async def test_other_tasks_run_while_thousands_of_rows_are_decided_on():
    turns = []

    async def other():
        while True:
            turns.append(decided)
            await asyncio.sleep(0)

    decided = 0

    def even(row):
        nonlocal decided
        decided += 1
        return row % 2 == 0

    task = asyncio.create_task(other())
    found = await visible_rows.select_rows(range(5000), even)
    task.cancel()
    assert found == list(range(0, 5000, 2))
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert len(turns) > 40 and max(gaps) <= visible_rows.ROWS_PER_TURN


def test_a_lookup_groups_its_rows_by_engine():
    engine = worlds.Engine()
    rows = list(engine.rows.values())
    ((ref, all_of_it, running),) = visible_rows.Lookup(Query(names=("web", "we*", "none")), rows).by_engine()
    assert (ref, len(all_of_it), len(running)) == (engine.ref, 5, 5)
    assert visible_rows.Lookup(Query(names=("web", "we*", "none")), rows).named_alone() == {rows[0].ref.key}
