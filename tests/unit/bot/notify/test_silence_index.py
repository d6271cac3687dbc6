"""What holds incidents back is found without comparing every incident with every silence and window, and the loop runs
other tasks meanwhile."""

from __future__ import annotations

import asyncio
import fnmatch
import random

import msgspec
import pytest

from bot.notify.alert_settings import AlertSettings
from bot.notify.reminders import Reminders
from bot.notify.silence_index import SilenceIndex
from core import supervise
from core.model import daily_hours, globs
from core.model.alert_routes import Matcher
from core.model.daily_hours import DailyHours
from core.model.incidents import merge_alert
from core.model.maintenance import Maintenance
from core.model.silences import Mute, Silence
from tests.unit.bot.notify.route_scene import EVENING, HOUR
from tests.unit.bot.notify.test_incident_reporter import crash

ALWAYS = DailyHours(begin=0, end=24 * 60)
MATCHERS = [
    (),
    (Matcher(field="host", operator="=", patterns=("h*",)),),
    (Matcher(field="host", operator="=", patterns=("x", "h1")), Matcher(field="name", operator="!=", patterns=("w*",))),
    (Matcher(field="team", operator="=", patterns=("",)),),
    (Matcher(field="name", operator="!=", patterns=("db",)),),
    (Matcher(field="severity", operator="=", patterns=("high",)),),
]
OWNERS = ["web", "db", "web-*", "*", "[ab]*", "w?b"]


def incident(name: str):
    found = merge_alert(None, crash(name, at=int(EVENING * 1e9)))
    assert found is not None
    return found


def silence(number: int, owner: str, **more) -> Silence:
    return Silence(**{"id": f"s{number}", "owner": owner, "until": EVENING + HOUR, "by": "U1", **more})


def window(number: int, **more) -> Maintenance:
    return Maintenance(**{"id": f"m{number}", "by": "U1", "target": f"web{number}*", "hours": ALWAYS, **more})


def settings(silences=(), windows=(), mutes=None) -> AlertSettings:
    return AlertSettings(silences=tuple(silences), windows=tuple((each, b"") for each in windows), mutes=mutes or {})


def test_the_index_finds_what_a_comparison_with_everything_finds():
    chance = random.Random(7)
    silences = [
        silence(
            number,
            chance.choice(OWNERS),
            until=EVENING + chance.choice([-1, 60, 3600]),
            rule=chance.choice(["", "crash*", "other"]),
            matchers=chance.choice(MATCHERS),
        )
        for number in range(300)
    ]
    windows = [window(0), window(1, target="w*"), window(2, hours=None, begin=0.0, end=1.0), window(3, host="h1")]
    windows.append(window(4, target="", host="h?", ended_at=EVENING - 5))
    index = SilenceIndex(silences, windows, {})
    for name in ("web", "db", "web-1", "a", "wab", "other", "web0"):
        each = incident(name)
        assert set(index.silences_of(each, EVENING)) == {one for one in silences if one.matches(each, EVENING)}
        opened = {one.id for one in windows if one.open_at(EVENING) and one.covers(each)}
        assert {one.id for one, _ in index.windows_of(each, EVENING)} == opened


def test_a_snooze_of_one_incident_is_found_by_its_id():
    each = incident("web")
    found = settings([silence(0, each.id), silence(1, "web", until=EVENING + 2 * HOUR)])
    assert found.held_until(each, EVENING) == EVENING + 2 * HOUR
    assert found.held_until(incident("db"), EVENING) == 0.0


def test_two_hundred_daily_windows_are_computed_once_for_thousands_of_incidents(monkeypatch):
    computed = []
    around = daily_hours._around

    def counted(hours, now):
        computed.append(hours)
        return around(hours, now)

    monkeypatch.setattr(daily_hours, "_around", counted)
    daily_hours._interval_at.cache_clear()
    windows = [window(number, hours=DailyHours(begin=number, end=0)) for number in range(200)]
    found = settings(windows=windows)
    for number in range(300):
        found.held_until(incident(f"web{number}"), EVENING)
    assert len(computed) == 200


def test_a_person_is_muted_in_every_workspace_until_the_last_of_it():
    mutes = {"slack:T1/U1": Mute(until=EVENING + 60), "slack:T2/U1": Mute(until=EVENING + 90)}
    found = settings(mutes={**mutes, "slack:T1/U2": Mute(until=EVENING - 1)})
    assert found.muted_until("U1", EVENING) == EVENING + 90
    assert found.muted_until("U2", EVENING) == found.muted_until("U", EVENING) == 0.0


async def test_other_tasks_run_during_a_long_loop():
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    assert [number async for number in supervise.in_turns(range(1_000))] == list(range(1_000))
    task.cancel()
    assert turns >= 1_000 // supervise.ITEMS_IN_TURN - 1


class Stored:
    """A store with incidents that notes the turns of the loop while they are compared."""

    def __init__(self, values) -> None:
        self.values = values
        self.removed: list[str] = []

    async def each_incident(self):
        for key, value in self.values.items():
            yield key, value

    async def remove_silences(self, ids):
        self.removed += ids


async def test_silences_that_end_with_their_incident_are_compared_in_turns(monkeypatch):
    open_ones = [incident(f"web{number}") for number in range(250)]
    store = Stored({each.key: msgspec.json.encode(each) for each in open_ones})
    pauses = 0
    sleep = asyncio.sleep

    async def counted(seconds, *more):
        nonlocal pauses
        pauses += 1
        await sleep(seconds, *more)

    monkeypatch.setattr(supervise.asyncio, "sleep", counted)
    silences = [silence(number, f"web{number}", until_resolved=True) for number in range(500)]
    await Reminders(store, None, None, None)._end_resolved(silences)
    assert set(store.removed) == {f"s{number}" for number in range(250, 500)}
    assert pauses >= 2


@pytest.mark.parametrize("pattern", ["web", "we[b", "w*", "w?b", "*", "", "[!w]eb", "web\n"])
@pytest.mark.parametrize("name", ["web", "we[b", "wab", "", "Web", "web\n", "a\nb"])
def test_globs_match_as_the_standard_library_does(pattern, name):
    assert globs.matches(name, pattern) == fnmatch.fnmatchcase(name, pattern)
