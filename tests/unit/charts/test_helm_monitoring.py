"""What the Helm chart installs for Prometheus and Grafana."""

import base64
import gzip
import json

import pytest
import yaml

from charts.dashboards import links as boards
from tests.helpers.helm_chart import CHART, Rendered, example, merged
from tests.helpers.paths import ROOT


def test_labels_of_the_page_are_kept():
    """The page has the label `service`, as the operator's targets have. The page's one counts."""
    assert 'service="' in (ROOT / "tests/golden/metrics.txt").read_text()
    rendered = Rendered(example("everything"))
    endpoints = [
        *rendered.one("ServiceMonitor")["spec"]["endpoints"],
        *rendered.one("PodMonitor")["spec"]["podMetricsEndpoints"],
    ]
    assert [(each["honorLabels"], each["port"], each["interval"]) for each in endpoints] == [
        (True, "metrics", "15s")
    ] * 2


@pytest.fixture
def chart_with_files(tmp_path):
    """The chart with a rule and two dashboards of its own, whatever the repository has."""
    for folder in ("templates", "templates/tests"):
        (tmp_path / folder).mkdir()
    for file in [CHART / "Chart.yaml", CHART / "values.yaml", *CHART.glob("templates/**/*.*")]:
        if file.is_file():
            (tmp_path / file.relative_to(CHART)).write_text(file.read_text())
    for folder in ("rules", "dashboards"):
        (tmp_path / folder).mkdir()
    rule = {"alert": "Down", "expr": "up == 0", "annotations": {"summary": "{{ $labels.host }} is down"}}
    (tmp_path / "rules/of_engines.yaml").write_text(yaml.safe_dump({"groups": [{"name": "engines", "rules": [rule]}]}))
    (tmp_path / "rules/no-rules.yaml").write_text("tests: []\n")
    for name in ("fleet", "one_container"):
        (tmp_path / f"dashboards/{name}.json").write_text(
            json.dumps({"title": name, "legend": "{{name}}"}, indent=2) + "\n"
        )
    return tmp_path


def test_each_file_of_rules_becomes_a_rule_and_each_dashboard_a_config_map(chart_with_files):
    values = merged(example("exporter-containerd"), {})
    rendered = Rendered(values, chart=chart_with_files)
    rule = rendered.one("PrometheusRule")
    assert rule["metadata"]["name"] == "deck-quarterdeck-of-engines"
    assert rule["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert rule["spec"] == yaml.safe_load((chart_with_files / "rules/of_engines.yaml").read_text())
    maps = [found for found in rendered.all("ConfigMap") if found["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert [each["metadata"]["name"].rpartition("dashboard-")[2] for each in maps] == ["fleet", "one-container"]
    for each in maps:
        ((file, text),) = each["data"].items()
        assert json.loads(text) == json.loads((chart_with_files / "dashboards" / file).read_text())
        assert each["metadata"]["annotations"] == {"grafana_folder": "Quarterdeck"}
    off = {"monitoring": {"rules": {"enabled": False}, "dashboards": {"enabled": False}}}
    assert Rendered(merged(values, off), chart=chart_with_files).all("PrometheusRule") == []


def test_the_repositorys_rules_and_dashboards_are_all_installed():
    rendered = Rendered(example("exporter-containerd"))
    files = {file: yaml.safe_load(file.read_text()) for file in CHART.glob("rules/*.yaml")}
    groups = [group for content in files.values() for group in content.get("groups", ())]
    installed = [group for rule in rendered.all("PrometheusRule") for group in rule["spec"]["groups"]]
    assert sorted(installed, key=lambda group: group["name"]) == sorted(groups, key=lambda group: group["name"])
    texts = [
        text
        for found in rendered.all("ConfigMap")
        if "grafana_dashboard" in found["metadata"]["labels"]
        for text in found["data"].values()
    ]
    boards = [json.loads(file.read_text()) for file in CHART.glob("dashboards/*.json")]
    assert sorted(json.dumps(json.loads(text), sort_keys=True) for text in texts) == sorted(
        json.dumps(board, sort_keys=True) for board in boards
    )
    # A ConfigMap has at most 1 MiB, and `kubectl apply` keeps a copy of at most 256 KiB in an annotation.
    assert all(len(text.encode()) < 256 << 10 for text in texts)


def test_one_value_says_where_the_runbooks_are_in_every_alert_and_dashboard():
    """Without it, the external label of Prometheus does, and a dashboard has an example."""
    docs, slack = "https://git.example.com/ops/quarterdeck/docs", "https://app.slack.com/client/T1/C1"
    values = {"monitoring": {"docs": docs, "dashboards": {"slack": slack}}}
    named, plain = (Rendered(merged(example("exporter-containerd"), more)) for more in (values, {}))
    for rendered, begin in ((named, f"{docs}/runbooks/"), (plain, "{{ $externalLabels.runbooks }}docs/runbooks/")):
        links = [
            rule["annotations"]["runbook_url"]
            for found in rendered.all("PrometheusRule")
            for group in found["spec"]["groups"]
            for rule in group["rules"]
            if "alert" in rule
        ]
        assert len(links) > 30
        assert all(link.startswith(begin) and (ROOT / "docs" / link[len(begin) - 9 :]).is_file() for link in links)
    for rendered, expected in ((named, (docs, slack)), (plain, (boards.DOCS, boards.SLACK))):
        found = [each for each in rendered.all("ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
        assert len(found) == 7
        for each in found:
            (text,) = each["data"].values()
            variables = {one["name"]: one for one in json.loads(text)["templating"]["list"]}
            for name, value in zip(("docs", "slack"), expected, strict=True):
                shown = variables[name]
                chosen = {shown["current"]["value"], *(one["value"] for one in shown["options"])}
                assert {shown["query"], *chosen} == {value}


def test_helm_can_store_a_release():
    """Helm keeps the chart and what it rendered in a Secret, compressed, of at most 1 MiB."""
    rendered = Rendered(example("everything"))
    files = [base64.b64encode(file.read_bytes()).decode() for file in CHART.rglob("*") if file.is_file()]
    release = "".join([*files, *rendered.files.values()]).encode()
    assert len(base64.b64encode(gzip.compress(release))) < 512 << 10
