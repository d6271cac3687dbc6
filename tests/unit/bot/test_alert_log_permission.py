"""Whether an alert shows log lines in a channel: guards count, grants do not, and each yes is in the audit."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.access.policy_in_force import PolicyInForce
from bot.alert_log_permission import AlertLogPermission
from bot.dispatch.audit import Audit
from core.model.incidents import merge_alert
from core.model.policy import Ask, Guard, Policy
from core.model.policy_selectors import Selector
from core.store import keys
from core.store.client import Store
from tests.helpers.alert_scene import AlertScene
from tests.helpers.alerts import alert


@pytest.fixture
async def store(valkey):
    made = Store.open(valkey.url)
    yield made
    await made.aclose()


async def decide(store: Store, **policy) -> tuple[bool, list[dict[str, str]]]:
    scene = AlertScene([])
    row = scene.containers[scene.add("web", labels={"env": "prod"}).id]
    own = frozenset({row.ref.id}) if policy.pop("own", False) else frozenset()
    clock = lambda: datetime.now(UTC)  # noqa: E731
    made = AlertLogPermission(
        PolicyInForce(store, Policy(self_ids=own, **policy)),
        Audit(store, clock=clock, count=lambda phase: None),
        clock,
    )
    incident = merge_alert(None, alert(subject=row.ref))
    assert incident is not None
    allowed = await made.may_read(incident, row, "C1")
    return allowed, [dict(each.fields) for each in await store.read_audit(count=10, audit=keys.READS)]


async def test_the_route_is_enough_and_the_read_is_audited(store) -> None:
    allowed, rows = await decide(store)
    assert allowed
    assert [(row["who"], row["line"].split("@")[0], row["place"], row["rule"]) for row in rows] == [
        ("rule:crash", "logs web", "C1", "route-logs")
    ]


@pytest.mark.parametrize("ask", list(Ask))
async def test_a_guard_on_reading_logs_forbids_it(store, ask) -> None:
    guard = Guard(id="g", can=("container.logs",), ask=ask, on=Selector(labels=(("env", "prod"),)))
    allowed, rows = await decide(store, guards=(guard,))
    assert not allowed
    assert rows == []


async def test_quarterdecks_own_log_is_never_shown(store) -> None:
    assert not (await decide(store, own=True))[0]
