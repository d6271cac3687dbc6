"""The rules that a configuration puts in force."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.notify.configured_rules import build_rules_in_force
from collectors.rule_catalogue import load_rules
from core import errors
from core.config import load
from core.config.alerts import Rules
from core.model.alerts import Severity
from core.model.end_causes import CauseKind
from core.model.events import EventKind
from tests.helpers.alert_scene import AlertScene

BUILTIN = load_rules()


def scene(**settings: object) -> AlertScene:
    return AlertScene(build_rules_in_force(BUILTIN, Rules.model_validate(settings)))


def test_a_rule_is_switched_off_and_another_one_is_changed() -> None:
    rules = {
        rule.name: rule
        for rule in build_rules_in_force(
            BUILTIN,
            Rules.model_validate(
                {"off": "crash, flapping", "change": {"unhealthy": {"for": "5m", "severity": "critical"}}}
            ),
        )
    }
    assert {"crash", "flapping"}.isdisjoint(rules)
    changed = rules["unhealthy"]
    assert (changed.hold, changed.severity, changed.settle) == (timedelta(minutes=5), Severity.HIGH, None)


def test_a_rule_of_four_lines_counts_and_matches() -> None:
    payments = {
        "name": "payments-exit",
        "where": {"label.app": "payments", "exit_code": "!=0"},
        "count": 2,
        "severity": "high",
    }
    alerts = scene(off=[rule.name for rule in BUILTIN], add=[payments])
    mine = alerts.add("pay", labels={"app": "payments"})
    other = alerts.add("web", labels={"app": "web"})
    for ref in (mine, other, other):
        alerts.end(ref)
    assert alerts.said == []
    alerts.wait(60)
    alerts.end(mine)
    assert alerts.said == ["firing payments-exit: crashed: it failed (exit code 2), 2 times in 10 minutes"]
    assert alerts.alerts[0].severity is Severity.HIGH


@pytest.mark.parametrize(
    ("matcher", "fires"),
    [
        ("web", True),
        ("=web", True),
        ("!=web", False),
        ("we*", True),
        ("!=we?", False),
        ("=w.b", False),
        ("=~w.b", True),
        ("=~w", False),
        ("!~db.*", True),
        ("db", False),
    ],
)
def test_the_four_operators(matcher: str, fires: bool) -> None:
    alerts = scene(off=[rule.name for rule in BUILTIN], add=[{"name": "x", "where": {"name": matcher}}])
    alerts.end(alerts.add("web"))
    assert bool(alerts.said) is fires


def test_every_field_can_be_matched() -> None:
    where = {
        "name": "web",
        "project": "shop",
        "service": "front",
        "host": "h1",
        "engine": "docker",
        "image": "web:1",
        "cause": "crashed",
        "label.com.docker.compose.service": "front",
    }
    alerts = scene(off=[rule.name for rule in BUILTIN], add=[{"name": "x", "where": where}])
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "front"}
    alerts.end(alerts.add("web", labels=labels), CauseKind.FINISHED, "finished")
    alerts.end(alerts.add("web", labels=labels, number=2))
    assert len(alerts.alerts) == 1


def test_an_unknown_rule_is_a_mistake_of_the_configuration(tmp_path) -> None:
    file = tmp_path / "q.yaml"
    file.write_text("rules: {off: [crahs], change: {nope: {severity: low}}, add: [{name: flapping}]}")
    config = load.load(file, {"XDG_STATE_HOME": "/s"})
    with pytest.raises(errors.ConfigError) as raised:
        load.check_rules(config, [rule.name for rule in BUILTIN])
    said = raised.value.full_message()
    assert "there is no alert rule “crahs”" in said and "Did you mean crash" in said
    assert "there is no alert rule “nope”" in said and "“flapping” is the name of a built-in alert rule" in said


def test_a_threshold_a_cooldown_and_a_wait_are_changed(tmp_path) -> None:
    alerts = scene(change={"crash-loop": {"threshold": 2}}, off=[r.name for r in BUILTIN if r.name != "crash-loop"])
    web = alerts.add("web")
    for _ in range(2):
        alerts.start(web)
        alerts.end(web)
    assert [said.split(":")[0] for said in alerts.said] == ["firing crash-loop"]


def test_a_rule_of_ones_own_may_wait_and_rest() -> None:
    own = {"name": "x", "where": {"name": "web"}, "for": "30s", "settle": "1m", "cooldown": "10m"}
    alerts = scene(off=[rule.name for rule in BUILTIN], add=[own])
    web = alerts.add("web")
    alerts.end(web)
    alerts.wait(29)
    assert alerts.said == []
    alerts.wait(2)
    assert [alert.state for alert in alerts.alerts] == ["firing"]
    alerts.wait(70)
    assert [alert.state for alert in alerts.alerts] == ["firing", "resolved"]
    alerts.end(web)
    alerts.wait(60)
    assert len(alerts.alerts) == 2, "it rests"


def test_a_rule_about_log_lines_counts_lines_and_shows_none() -> None:
    own = {"name": "panic", "on": {"name": "web"}, "contains": "panic:", "count": 3, "within": "1m"}
    alerts = scene(off=[rule.name for rule in BUILTIN], logs=[own])
    web = alerts.add("web")
    for lines in ("1", "1"):
        alerts.happen(EventKind.OTHER, web, action="log:panic", lines=lines)
        alerts.wait(40)
    alerts.happen(EventKind.OTHER, web, action="log:panic", lines="2")
    assert alerts.said == ["firing panic: 3 log lines match the rule panic in 1 minutes"]
    alerts.happen(EventKind.OTHER, web, action="log:other", lines="9")
    assert len(alerts.said) == 1


def test_a_threshold_of_a_rule_without_one_and_a_healing_rule_about_no_rule_are_mistakes(tmp_path) -> None:
    file = tmp_path / "q.yaml"
    file.write_text(
        "rules: {change: {crash: {threshold: 5}}, logs: [{name: flapping, on: {name: w}, contains: x}]}\n"
        "healing: [{name: h, rules: [carsh], on: {name: web}, do: restart}]\n"
    )
    config = load.load(file, {"XDG_STATE_HOME": "/s"})
    with pytest.raises(errors.ConfigError) as raised:
        load.check_rules(config, [rule.name for rule in BUILTIN], with_threshold=["crash-loop"])
    said = raised.value.full_message()
    assert "the alert rule “crash” has no threshold" in said and "Only these rules have one: crash-loop" in said
    assert "“carsh” matches no alert rule" in said and "Did you mean crash" in said
    assert "rules.logs.0" in said


def test_a_healing_rule_may_do_its_one_verb_on_what_it_names_and_nothing_else(tmp_path) -> None:
    file = tmp_path / "q.yaml"
    file.write_text("healing: [{name: h, rules: [crash], on: {label.heal: x}, do: stop}]\n")
    config = load.load(file, {"XDG_STATE_HOME": "/s"})
    (grant,) = [grant for grant in load.policy_from(config).grants if grant.who == "rule:h"]
    assert (grant.can, str(grant.on)) == (("container.stop", "container.list"), "label heal=x")
