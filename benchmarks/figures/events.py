"""Events taken in, counted and put into the mirror, per second of CPU time, against docker-py that only counts.

The ways to read are those of `benchmarks.readers`, the recordings those of `benchmarks.recordings`. All ways read the
same stream from a server in another process. What the kernel takes of it is a row of its own, the bytes. A last table
says how many events each way lost in all rounds. So that a loss would be noticed, one of its rows gets a stream from
which the server withholds events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import readers, recordings, replay, stage
from benchmarks.harness import Figure, Goal, Once, Table, best_ratio, rounds
from benchmarks.readers import OURS, RAW, THEIRS, WATCHED
from core import import_speed

MANY, FEWER = 30_000, 10_000
RATE = 20_000
QUICK = 3  # times fewer events, if one round is enough
WORDS = {
    "bulk": "as a reader that fell behind gets them",
    "single": "one write for each, as fast as they come",
    "churn": "churn",
    "fleet": "9 of 10 of health probes",
}
LEAST = {("churn", "bulk"): 4.0, ("churn", "single"): 3.5, ("fleet", "bulk"): 6.0, ("fleet", "single"): 4.0}
Lost = dict[str, list[float]]


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    lost: Lost = {}
    import_speed.turn_collector_on()  # as in the product, for every way to read
    async with readers.ways(scene) as ways:
        tables = [await rates(ways, name, how, times, lost) for name, how in LEAST]
        tables += [await live(ways, name, times, lost) for name in recordings.RECORDINGS]
        withheld = [float((await ways.ours("churn", FEWER, "withheld")).lost) for _ in range(times)]
    return [*tables, losses(lost, withheld)]


async def rates(ways: readers.Ways, recording: str, how: str, times: int, lost: Lost) -> Table:
    def per_second(name: str, way: Any, events: int) -> Once:
        async def once() -> float:
            taken: readers.Taken = await way(recording, events, how)
            lost.setdefault(name, []).append(taken.lost)
            return events / taken.cpu

        return once

    many, fewer = (MANY, FEWER) if times > 1 else (MANY // QUICK, FEWER // QUICK)
    taken = await rounds(
        {
            OURS: per_second(OURS, ways.ours, many),
            WATCHED: per_second(WATCHED, ways.watched, many),
            THEIRS: per_second(THEIRS, ways.theirs, fewer),
            RAW: per_second(RAW, ways.bytes_only, many),
        },
        times,
    )
    best = best_ratio(taken[OURS], taken[THEIRS], more_is_better=True)
    goals = [Goal(what="times docker-py, in the best round of each", found=best, least=LEAST[recording, how])]
    return Table(
        title=f"events ({WORDS[recording]}): taken in, counted and mirrored, {WORDS[how]}",
        short=f"events, {recording}, {how}",
        unit="events/CPU s",
        rows=taken,
        ours=OURS,
        more_is_better=True,
        goals=goals,
    )


async def live(ways: readers.Ways, recording: str, times: int, lost: Lost) -> Table:
    slower, events = False, RATE if times > 1 else RATE // QUICK

    def each(name: str, way: Any) -> Once:
        async def once() -> float:
            nonlocal slower
            taken: readers.Taken = await way(recording, events, str(RATE))
            lost.setdefault(name, []).append(taken.lost)
            slower = slower or taken.seconds > 1.2 * events / RATE
            return taken.cpu / events * 1e6

        return once

    ways_by_name = {OURS: ways.ours, WATCHED: ways.watched, THEIRS: ways.theirs, RAW: ways.bytes_only}
    taken = await rounds({name: each(name, way) for name, way in ways_by_name.items()}, times)
    return Table(
        title=f"events ({WORDS[recording]}): CPU of the reading process at {RATE:,} a second, one write each",
        short=f"events, {recording}, live CPU",
        unit="µs/event",
        rows=taken,
        ours=OURS,
        goals=[
            Goal(
                what="docker-py, times ours, in the best round of each",
                found=best_ratio(taken[OURS], taken[THEIRS]),
                least=3.0,
            )
        ],
        notes=["Somebody did not keep up with the rate in some round."] if slower else [],
    )


def losses(lost: Lost, withheld: Sequence[float]) -> Table:
    name = f"ours, {replay.WITHHELD} withheld"
    ours = sum(lost[OURS]) + sum(lost[WATCHED])
    goals = [
        Goal(what="lost by us", found=ours, most=0),
        Goal(what="noticed of those withheld", found=min(withheld) / replay.WITHHELD, least=1),
    ]
    rows = {**lost, name: withheld}
    return Table(title="events lost in a round", unit="events", rows=rows, ours=OURS, compared=False, goals=goals)


figure = Figure(name="events", summary="events taken in, against docker-py", rounds=11, measure=measure)
