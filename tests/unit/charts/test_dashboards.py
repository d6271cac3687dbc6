"""The dashboards: committed as generated, whole, and about metrics that exist. tests/e2e/test_dashboards.py asks each
query of a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models

from charts.dashboards.annotations import PrometheusAnnotation
from charts.dashboards.catalogue import FOLDER, as_json, load_dashboards
from charts.pictures.dashboard_queries import DashboardQuery, Times, fill, load, panels, queries, variables_in
from collectors.metric_list import list_families
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need

COMMITTED = load()
BY_UID = pytest.mark.parametrize("dashboard", COMMITTED, ids=[one["uid"] for one in COMMITTED])
TIMES = Times(begin=0, end=3600, step=15, scrape=15)
QUESTIONS = [question for dashboard in COMMITTED for question in queries(dashboard)]
# Labels that Prometheus or a histogram adds.
ADDED = {"instance", "job", "le"}
NAMES = {
    "fleet": "Fleet",
    "container": "Container",
    "incidents": "Incidents",
    "events-and-streams": "Events and streams",
    "bot": "Bot",
    "swarm": "Swarm",
    "engines": "Engines",
}


def filled(question: DashboardQuery) -> str:
    """The query with any value for each of its variables."""
    values = dict.fromkeys(variables_in(question.expr), ".*") | TIMES.builtin
    return fill(question.expr, values)


def plain(built: Any) -> Any:
    return json.loads(json.dumps(built, cls=JSONEncoder))


def test_the_committed_files_are_what_the_code_generates() -> None:
    generated = {f"{one.name}.json": as_json(one) for one in load_dashboards()}
    assert {file.name: file.read_text() for file in FOLDER.iterdir()} == generated, "python -m charts.dashboards"


def test_there_is_a_dashboard_for_each_subject() -> None:
    assert {
        one["uid"].removeprefix("quarterdeck-"): one["title"].removeprefix("Quarterdeck / ") for one in COMMITTED
    } == NAMES


@BY_UID
def test_a_dashboard_survives_the_models_of_grafana(dashboard: dict[str, Any]) -> None:
    """Nothing is in the JSON that Grafana's own models do not know, but for the settings of Prometheus' annotations."""
    register_default_plugins()
    again = plain(models.Dashboard.from_json(dashboard))
    annotations = [plain(PrometheusAnnotation.from_json(one)) for one in dashboard["annotations"]["list"]]
    assert again | {"annotations": {"list": annotations}} == dashboard


@BY_UID
def test_every_panel_is_whole(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids) and min(ids) == 1
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        where = f"{dashboard['uid']}: {panel['title']}"
        assert panel["title"] and panel["targets"] and defaults["unit"], where
        assert panel["description"].endswith("."), where
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        assert panel["gridPos"]["w"] > 4 or len(panel["title"]) <= 22, f"{where}: the title is cut on a narrow screen"
        for color in [step["color"] for step in defaults["thresholds"]["steps"] if step.get("value") is not None]:
            said = panel["description"].lower()
            assert color in said or color == "green", f"{where}: the description does not say what {color} means"


@BY_UID
def test_panels_do_not_overlap_and_fit(dashboard: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for one in places:
        assert one["w"] > 0 and one["h"] > 0 and one["x"] + one["w"] <= 24
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


@BY_UID
def test_variables_are_declared_and_used(dashboard: dict[str, Any]) -> None:
    declared = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert len(declared) == len({one["id"] for one in declared.values()}) == len(dashboard["templating"]["list"])
    used = set().union(*(variables_in(question.expr) for question in queries(dashboard)))
    shown = {name for name, one in declared.items() if one.get("hide", 0) == 0}
    assert {name for name in used if not name.startswith("__")} <= set(declared)
    assert shown - used == {"datasource"}
    assert {"datasource", "host", "engine"} <= set(declared)
    assert all(one["label"] and one["description"] for one in declared.values())


@BY_UID
def test_links_lead_somewhere(dashboard: dict[str, Any]) -> None:
    found = [*dashboard["links"]]
    for panel in panels(dashboard):
        overrides = [part for each in panel["fieldConfig"]["overrides"] for part in each["properties"]]
        found += panel.get("links") or []
        found += panel["fieldConfig"]["defaults"].get("links") or []
        found += [link for part in overrides if part["id"] == "links" for link in part["value"]]
    uids = {one["uid"]: {each["name"] for each in one["templating"]["list"]} for one in COMMITTED}
    for link in found:
        url = link["url"]
        if match := re.match(r"/d/([\w-]+)\?(.*)", url):
            assert set(re.findall(r"var-(\w+)=", match[2])) <= uids[match[1]], url
        elif url.startswith("${docs}/"):
            assert (ROOT / "docs" / url.removeprefix("${docs}/")).exists(), url
        else:
            assert url == "${slack}" or link["type"] == "dashboards", url
    addresses = {one["url"] for one in dashboard["links"]}
    assert {"${slack}", "${docs}/runbooks"} <= addresses
    assert any(one["type"] == "dashboards" and one["includeVars"] and one["keepTime"] for one in dashboard["links"])


def test_every_query_uses_series_and_labels_that_exist() -> None:
    families = {family.name: family for family in list_families()}
    for name, family in list(families.items()):
        if family.kind == "histogram":
            families |= {f"{name}_{part}": family for part in ("bucket", "sum", "count")}
    for question in QUESTIONS:
        names = set(re.findall(r"\b(?:quarterdeck|process)_\w+", question.expr))
        assert names and names <= set(families), (question, names - set(families))
        for name, selector in re.findall(r"\b((?:quarterdeck|process)_\w+)\{([^}]*)\}", question.expr):
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector))
            assert labels <= {*families[name].labels, *ADDED}, (question, name)
        if question.label:
            (name,) = names
            assert question.label in {*families[name].labels, *ADDED}, question


def test_promtool_accepts_every_query(tmp_path: Path) -> None:
    need("promtool", "promtool")
    rules = [
        {"record": f"query:{number}", "expr": filled(each)} for number, each in enumerate(QUESTIONS) if not each.label
    ]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", tmp_path / "rules.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout


def test_no_query_compares_what_it_only_joins() -> None:
    """`a and on (x) b > 1` compares b."""
    for each in QUESTIONS:
        assert not re.search(r"\bon \([\w, ]+\) [\w:]+(\{[^}]*\})? [<>=!]=? ", each.expr), each


def test_the_fleet_names_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    need("promtool", "promtool")
    (expr,) = {filled(each) for each in QUESTIONS if each.where.startswith("Containers with a problem")}

    def series(metric: str, name: str, value: int, more: str = "") -> dict[str, str]:
        labels = f'host="h1", engine="docker", name="{name}"{more}'
        return {"series": f"quarterdeck_container_{metric}{{{labels}}}", "values": f"{int(value)}x20"}

    names = ("fine", "full", "ill", "crashed")
    given = [series("info", name, 1, ', project="shop"') for name in names]
    for name in names:
        given += [
            series("spec_memory_limit_bytes", name, 100),
            series("memory_working_set_bytes", name, 95 if name == "full" else 89),
            series("health_state", name, name == "ill", ', health="unhealthy"'),
            series("last_end_timestamp_seconds", name, 1100 if name == "crashed" else 10),
            series("last_end_cause", name, 1, ', cause="crashed"'),
        ]
    found = [
        ("crashed", "crashed", ', cause="crashed"'),
        ("full", "memory near its limit", ""),
        ("ill", "unhealthy", ""),
    ]
    wanted = [
        {"labels": f'{{host="h1", engine="docker", name="{name}", problem="{problem}"{more}}}', "value": value}
        for (name, problem, more), value in zip(found, (1, 0.95, 1), strict=True)
    ]
    check = {"expr": expr, "eval_time": "20m", "exp_samples": wanted}
    tests = [{"interval": "1m", "input_series": given, "promql_expr_test": [check]}]
    (tmp_path / "tests.yaml").write_text(json.dumps({"rule_files": [], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
