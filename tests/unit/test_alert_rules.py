"""Checks the rules for Prometheus with promtool, and the configuration of Alertmanager with amtool.

Each alert fires when it should, says what is wrong and what to do, and uses series that exist.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.outlets.alert_receiver import PATH
from collectors import metric_list
from core.model.alerts import severity_named
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need

RULES, TESTS, RUNBOOKS = ROOT / "charts/quarterdeck/rules", ROOT / "tests/unit/alert_rules", ROOT / "docs/runbooks"
ALERTMANAGER = ROOT / "deploy/compose/alertmanager.yml"
FROM_PROMETHEUS = {"up"}
REPOSITORY = "{{ $externalLabels.runbooks }}"


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for file in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def known_series() -> set[str]:
    names = {family.name for family in metric_list.list_families()}
    histograms = {family.name for family in metric_list.list_families() if family.kind == "histogram"}
    parts = {f"{name}_{end}" for name in histograms for end in ("bucket", "sum", "count")}
    return (names - histograms) | parts | {rule["record"] for rule in rules() if "record" in rule}


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    need("promtool", "promtool")
    run("promtool", "check", "rules", *sorted(RULES.glob("*.yaml")))
    run("promtool", "test", "rules", *sorted(TESTS.glob("*.yaml")))


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.yaml")), ids=lambda file: file.stem)
def test_what_is_recorded_is_recorded_before_alerts_use_it(file: Path) -> None:
    """Otherwise promtool evaluates the groups in an order that differs from run to run."""
    tests = yaml.safe_load(file.read_text())
    groups = [
        group["name"]
        for path in reversed(tests["rule_files"])
        for group in yaml.safe_load((file.parent / path).read_text())["groups"]
    ]
    assert len(groups) == 1 or tests["group_eval_order"] == groups


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [
        case
        for file in TESTS.glob("*.yaml")
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == set(ALERTS)
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_is_wrong_and_has_a_runbook(name: str) -> None:
    rule = ALERTS[name]
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert severity_named(rule["labels"]["severity"])
    assert len(said["summary"]) <= 120
    assert not said["summary"].endswith(".")
    assert said["description"].endswith(".")
    page = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
    assert said["runbook_url"] == f"{REPOSITORY}docs/runbooks/{page}.md"
    text = (RUNBOOKS / f"{page}.md").read_text()
    assert text.startswith(f"# {name}\n\nSeverity: {rule['labels']['severity']}. ")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## What it means",
        "## What to look at",
        "## What to do",
    ]


def test_every_runbook_belongs_to_an_alert_and_names_what_exists() -> None:
    pages = list(RUNBOOKS.glob("*.md"))
    assert len(pages) == len(ALERTS)
    for page in pages:
        text = page.read_text()
        assert set(re.findall(r"\bquarterdeck[_:][\w:]+", text)) <= known_series() | {"quarterdeck:latest"}, page.name
        for link in re.findall(r"\]\(([\w.-]+)\)", text):
            assert (RUNBOOKS / link).exists(), f"{page.name}: {link}"
        for path in re.findall(r"`((?:charts|collectors)/[\w./-]+)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_each_rule_uses_series_that_exist(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\b(?:quarterdeck[_:][\w:]+|process_\w+)", rule["expr"]))
    assert named or "up{" in rule["expr"]
    assert named <= known_series()


def test_names_are_unique() -> None:
    names = [rule.get("alert") or rule["record"] for rule in rules()]
    assert len(names) == len(set(names))


def test_alertmanager_sends_everything_to_the_receiver_of_quarterdeck() -> None:
    need("alertmanager", "amtool")
    run("amtool", "check-config", ALERTMANAGER)
    kinds = {(name.startswith("Quarterdeck"), rule["labels"]["severity"]): name for name, rule in ALERTS.items()}
    assert len(kinds) == 6
    for (about_itself, severity), name in kinds.items():
        labels = (f"alertname={name}", f"severity={severity}")
        found = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).strip()
        assert found == ("by-another-way,quarterdeck" if about_itself and severity == "critical" else "quarterdeck")
    (receiver, _) = yaml.safe_load(ALERTMANAGER.read_text())["receivers"]
    (hook,) = receiver["webhook_configs"]
    assert hook["url"] == f"http://bot:9108{PATH}"
    assert hook["send_resolved"] is True
    assert f"`max_alerts: {hook['max_alerts']}`" in (ROOT / "docs/alerts.md").read_text()


def test_alertmanager_leaves_out_only_alerts_that_exist() -> None:
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            label, _, pattern = matcher.partition("=")
            assert label == "alertname"
            matching = [name for name in ALERTS if re.fullmatch(pattern.lstrip("~").strip('"'), name)]
            assert len(matching) >= 1 + pattern.count("|"), matcher
