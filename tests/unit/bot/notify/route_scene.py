"""Helpers for tests of where incidents are posted and what holds them back. Times are those of a World."""

from __future__ import annotations

from bot.notify.maintenance_windows import add_maintenance
from core.model.alert_routes import Matcher
from core.model.alert_setting_actions import AddMaintenance
from core.model.alerts import AlertState
from core.model.daily_hours import DailyHours
from core.model.invocation import Identity
from tests.unit.bot.notify.test_incident_reporter import SECOND, crash

ADA = Identity(id="slack:T1/U0ADA", name="Ada")
EVENING = 1_780_437_600.0  # 2026-06-02 22:00:00 UTC
HOUR = 3600.0
NIGHT = DailyHours(begin=22 * 60, end=7 * 60)
HIGH = (Matcher(field="severity", operator="=", patterns=("high",)),)


def now(world) -> int:
    return int(world.seconds * SECOND)


def fresh(world, name: str, **more):
    """A crash of now."""
    return crash(name, **{"at": now(world), "since_ns": now(world), **more})


def over(world, name: str, **more):
    return crash(name, **{"at": now(world), "since_ns": now(world), "state": AlertState.RESOLVED, **more})


async def pass_time(world, seconds: float) -> None:
    """Lets a long time pass, with a few flushes at its end."""
    world.seconds += seconds
    await world.wait(8)


def of_project(world, name: str, project: str, **more):
    owner = f"{project}/{name}"
    labels = {"com.docker.compose.project": project}
    return fresh(world, name, **{"fingerprint": owner, "labels": labels, "owner": owner, **more})


async def maintain(world, **more):
    settings = {"by": ADA, "seconds": HOUR, "target": "shop/*", "place": "C5", **more}
    return await add_maintenance(world.desk.store, AddMaintenance(**settings), now=world.seconds)
