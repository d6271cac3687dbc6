"""The list of all metric families: complete, generated into docs/metrics.md, and printed without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from collectors import metric_list
from core import metric_families
from core.metric_families import Format, ListFormat
from tests.helpers.paths import ROOT
from tests.unit.collectors.test_metrics_page import parsed, whole_page

DOCUMENT = ROOT / "docs/metrics.md"
BEGIN, END = "<!-- begin: quarterdeck metrics --format markdown -->\n", "\n<!-- end -->"


def test_the_list_has_exactly_the_families_of_the_page() -> None:
    """With their type, meaning and labels."""
    listed = {
        family.base_name if family.kind == "counter" else family.name: family for family in metric_list.list_families()
    }
    shown = parsed(whole_page(Format.TEXT))
    assert shown.keys() == listed.keys()
    for name, (kind, text, rows) in shown.items():
        family = listed[name]
        assert (kind, text) == ("gauge" if family.kind == "info" else family.kind, family.text)
        assert rows, f"{name} has no series on the page of all engines"
        for _, *labels in rows:
            shown_names = {re.sub("^label_.*", "label_*", label) for label, _ in labels} - {"le"}
            assert shown_names == set(family.labels), name


def test_the_document_has_the_list_of_the_code() -> None:
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{DOCUMENT} needs the lines {BEGIN.strip()} and {END.strip()}"
    listed = metric_list.render(metric_list.list_families(), ListFormat.MARKDOWN)
    fresh = f"{before}{BEGIN}\n{listed}\n{END}{after}"
    if os.environ.get("GOLDEN") == "1":
        DOCUMENT.write_text(fresh)
    assert DOCUMENT.read_text() == fresh, "run `make golden`, then review the difference"


# What docs/deploy.md names in a Swarm: secrets, and the services of the stack `quarterdeck`.
NAMES_IN_A_SWARM = {
    "quarterdeck_slack_bot_token",
    "quarterdeck_slack_app_token",
    "quarterdeck_bot",
    "quarterdeck_watcher",
}


def test_every_name_in_the_documents_exists() -> None:
    known = {family.name for family in metric_list.list_families()}
    known |= {f"{family.name}{end}" for family in metric_list.list_families() for end in ("_bucket", "_sum", "_count")}
    for document in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        if document.name != "recipes.md":
            named = set(re.findall(r"\bquarterdeck_\w+\b(?!\*)", document.read_text()))
            assert named - NAMES_IN_A_SWARM <= known, document


def test_the_labels_come_from_one_scheme() -> None:
    for family in metric_list.list_families():
        if family.name.startswith("quarterdeck_container_") and "name" in family.labels:
            assert family.labels[:3] == metric_families.CONTAINER_LABELS, family.name
        assert not {"hostname", "container", "container_name", "engine_name", "node_name"} & set(family.labels), (
            family.name
        )


@pytest.mark.parametrize("form", ListFormat)
def test_the_command_prints_the_list_without_engine_configuration_or_slack(form: ListFormat, tmp_path) -> None:  # type: ignore[no-untyped-def]
    code = (
        "import sys; sys.argv[1:] = ['metrics', '--format', sys.argv[1]]\n"
        "from bot import command_line\n"
        "try: command_line.app()\n"
        "finally: print(*sorted({'aiohttp', 'slack_bolt', 'redis', 'grpc', 'docker', 'podman'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, form],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr.split() == []
    assert done.stdout == metric_list.render(metric_list.list_families(), form) + "\n"


def test_the_json_has_all_fields() -> None:
    rows = json.loads(metric_list.render(metric_list.list_families(), ListFormat.JSON))
    (found,) = [row for row in rows if row["name"] == "quarterdeck_container_cpu_usage_seconds_total"]
    assert found == {
        "name": "quarterdeck_container_cpu_usage_seconds_total",
        "type": "counter",
        "labels": ["host", "engine", "name"],
        "unit": "seconds",
        "meaning": "CPU time used, in seconds",
    }
