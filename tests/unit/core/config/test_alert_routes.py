"""Routes in the configuration: what people write, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import load as config_load
from core.model.alert_routes import Matcher, Route, Routing
from core.model.alerts import AlertState
from core.model.daily_hours import DailyHours
from core.model.incidents import merge_alert
from tests.helpers.alerts import alert


def routing(tmp_path: Path, text: str) -> Routing:
    file = tmp_path / "q.yaml"
    file.write_text(text)
    return config_load.routing_from(config_load.load(file, {"XDG_STATE_HOME": "/s"}))


def test_without_anything_nothing_is_posted(tmp_path: Path) -> None:
    made = routing(tmp_path, "log: {level: info}")
    assert made == Routing() and not made.posts


def test_one_channel_is_all_that_is_needed(tmp_path: Path) -> None:
    assert routing(tmp_path, "alerts: {to: C0123ABCD}").default == "C0123ABCD"
    made = routing(tmp_path, 'alerts: {to: "#ops"}')
    assert (made.default, made.posts) == ("#ops", True)


def test_a_route_says_where_and_how(tmp_path: Path) -> None:
    made = routing(
        tmp_path,
        """
alerts: {channels: [C0999], storm: {more_than: 5, within: 1m}}
routes:
  - match: {severity: [critical, warning], host: "prod-*", label.tier: "!=test", engine: "=~docker.*"}
    to: C0123ABCD, U0ADA
    mention: S0ONCALL
    group_by: [project, label.app]
    repeat: 4h
    quiet: {from: 22:00, to: "07:00", zone: Europe/Berlin, days: [Saturday, sun]}
    logs: true
    continue: true
  - {to: nowhere, match: {severity: low}}
""",
    )
    first, second = made.routes
    assert first == Route(
        matchers=(
            Matcher(field="severity", operator="=", patterns=("high", "medium")),
            Matcher(field="host", operator="=", patterns=("prod-*",)),
            Matcher(field="label.tier", operator="!=", patterns=("test",)),
            Matcher(field="engine", operator="=~", patterns=("docker.*",)),
        ),
        to=("C0123ABCD", "U0ADA"),
        mention=("S0ONCALL",),
        group_by=("project", "label.app"),
        repeat=4 * 3600.0,
        quiet=DailyHours(begin=22 * 60, end=7 * 60, zone="Europe/Berlin", days=(5, 6)),
        logs=True,
        further=True,
    )
    assert second.to == () and not second.further
    assert (made.storm_size, made.storm_seconds, made.channels) == (5, 60.0, frozenset({"C0999"}))
    assert made.repeats and made.groups


def test_a_list_of_unequal_values_excludes_each_of_them(tmp_path: Path) -> None:
    made = routing(tmp_path, 'routes: [{to: C0123, match: {severity: ["!=low", "!=medium"]}}]')
    incident = merge_alert(None, alert(state=AlertState.FIRING))
    assert incident is not None
    assert made.destinations(incident) == ()


@pytest.mark.parametrize("text", ["routes: [{to: C0123, match: {}}]", "routes: [{to: C0123}]"])
def test_a_route_without_a_match_gets_everything(tmp_path: Path, text: str) -> None:
    incident = merge_alert(None, alert())
    assert incident is not None
    assert [each.to for each in routing(tmp_path, text).destinations(incident)] == ["C0123"]


def test_routes_come_from_a_variable_as_json(tmp_path: Path) -> None:
    file = tmp_path / "q.yaml"
    file.write_text("log: {level: info}")
    environ = {"XDG_STATE_HOME": "/s", "QUARTERDECK_ROUTES": '[{"to": "C0123", "mention": ["S0123"]}]'}
    (route,) = config_load.routing_from(config_load.load(file, environ)).routes
    assert (route.to, route.mention) == (("C0123",), ("S0123",))
