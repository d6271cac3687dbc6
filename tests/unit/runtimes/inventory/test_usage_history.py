"""The history of usage: what is stored, for how long, and how much memory it takes."""

from __future__ import annotations

import sys

import pytest

from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_usage import Point, ReadUsage, Usage
from runtimes.inventory import usage_history
from runtimes.inventory.usage_history import UsageHistory

ENGINE = EngineRef(kind="docker", host="m1")


def ref(number: int) -> Ref:
    return Ref(engine=ENGINE, kind=Kind.CONTAINER, id=f"{number:064d}", name=f"c{number}")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_readings_are_returned_in_order_with_rates_between_them() -> None:
    clock = Clock()
    history = UsageHistory(clock)
    for received in (1000, 4000, 100):  # the container was started again before the third
        history.add([Usage(ref=ref(1), cpu_percent=5.0, memory=2**33 + 1, network_received=received)])
        clock.now += 15
    first, second, third = history.points(ref(1).id, 0)
    assert first == Point(1_800_000_000, 5.0, 2**33 + 1, None, None, None, None)
    assert second.network_received == 200.0 and second.at == first.at + 15
    assert third.network_received is None
    assert history.points(ref(1).id, first.at + 20) == [third]
    assert history.points(ref(2).id, 0) == []


def test_the_newest_reading_has_only_what_runs_and_the_history_stays_for_an_hour() -> None:
    clock = Clock()
    history = UsageHistory(clock)
    history.add([Usage(ref=ref(1), memory=1), Usage(ref=ref(2), memory=2)])
    clock.now += 60
    history.add([Usage(ref=ref(2), memory=3)])
    assert set(history.latest) == {ref(2).id} and history.read_at == clock.now
    assert history.points(ref(1).id, 0)
    for _ in range(62):
        clock.now += 60
        history.add([Usage(ref=ref(2), memory=3)])
    assert not history.points(ref(1).id, 0)
    assert len(history.points(ref(2).id, 0)) > 60


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_history, "MAX_CONTAINERS", 20)
    clock = Clock()
    history = UsageHistory(clock)
    for number in range(400):
        history.add([Usage(ref=ref(number), memory=1)])
    assert len(history._readings) <= 20
    for _ in range(2 * usage_history.MAX_READINGS):
        history.add([Usage(ref=ref(1), memory=1)])
    assert len(history.points(ref(1).id, 0)) == usage_history.MAX_READINGS


def test_an_hour_of_two_hundred_containers_takes_less_than_six_megabytes() -> None:
    clock = Clock()
    history = UsageHistory(clock)
    rows = [Usage(ref=ref(number), cpu_percent=1.0, memory=1, network_received=1) for number in range(200)]
    for _ in range(240):
        history.add(rows)
        clock.now += 15
    assert sum(sys.getsizeof(packed) for packed in history._readings.values()) < 6_000_000
    assert all(len(history.points(row.ref.id, 0)) == 240 for row in rows)


def test_past_readings_are_returned_also_of_a_container_that_ended() -> None:
    clock = Clock()
    history = UsageHistory(clock)
    history.add([Usage(ref=ref(1), memory=1), Usage(ref=ref(2), memory=2)])
    clock.now += 15
    history.add([Usage(ref=ref(2), memory=3)])
    found = {row.ref: row for row in history.answer(ReadUsage(engine=ENGINE, since=clock.now - 60)).rows}
    assert [point.memory for point in found[ref(2)].points] == [2, 3] and found[ref(2)].memory == 3
    assert [point.memory for point in found[ref(1)].points] == [1] and found[ref(1)].memory is None
    (only,) = history.answer(ReadUsage(engine=ENGINE, since=clock.now, only=(ref(2).id,))).rows
    assert len(only.points) == 1
