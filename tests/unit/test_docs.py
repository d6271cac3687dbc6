"""The documents name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.model.actions import Risk, all_actions
from core.model.policy import INSIDE, OPERATOR, VIEWER
from tests.helpers.paths import ROOT

DOCUMENTS = ("README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")))
FOLDERS = "benchmarks|bot|charts|collectors|commands|core|deploy|docs|runtimes|tests"
# The recipes name what the reader is about to create.
EXAMPLES = {
    "collectors/rules/renamed.py",
    "collectors/scrapers/ports.py",
    "commands/containers/uptime.py",
    "runtimes/shelf/engine.py",
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_in_a_document_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    paths = set(re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text)) - EXAMPLES
    paths |= {match for match in re.findall(r"\]\(([\w./-]+)\)", text) if "://" not in match}
    base = (ROOT / document).parent
    missing = [path for path in sorted(paths) if not (ROOT / path).exists() and not (base / path).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_heading_leads_to_one(document: str) -> None:
    file = ROOT / document
    links = re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", file.read_text())
    missing = [(path, name) for path, name in links if name not in headings(file.parent / path if path else file)]
    assert not missing


def headings(file: Path) -> set[str]:
    """The names that links use for the headings of a document, as Git servers make them."""
    text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_exists(document: str) -> None:
    named = set(re.findall(r"`(tests/[\w./-]+\.py)::(\w+)`", (ROOT / document).read_text()))
    missing = [
        f"{path}::{name}"
        for path, name in sorted(named)
        if not (ROOT / path).exists()
        or not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert not missing


def test_who_may_see_the_inside_of_containers_is_decided_for_every_verb() -> None:
    """The table of docs/security.md has each verb that shows something of a resource, with its role, as it is."""
    text = (ROOT / "docs/security.md").read_text().partition("## Verbs that show the inside")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| `")]
    told = {
        verb: (role.strip(), covered.strip()) for verbs, role, covered in rows for verb in re.findall(r"`(.+?)`", verbs)
    }
    nouns = ("container", "service", "pod", "unit", "volume", "network", "node", "image")
    shown = {
        kind.verb
        for kind in all_actions()
        if kind.verb.partition(".")[0] in nouns and kind.risk is Risk.READ and not kind.listing
    }
    assert told.keys() >= shown | INSIDE
    for verb, (role, covered) in told.items():
        expected = "viewer" if verb in VIEWER else "operator" if verb in OPERATOR else "admin"
        assert (verb, role, covered) == (verb, expected, "no" if verb in INSIDE else "yes")


def test_the_threat_model_names_a_test_for_each_claim() -> None:
    text = (ROOT / "docs/security.md").read_text().partition("## A person with some permissions")[2]
    claims = re.findall(r"^- .*(?:\n  .*)*", text.partition("## What is not protected")[0], re.MULTILINE)
    assert len(claims) > 25
    assert [claim for claim in claims if not re.search(r"`tests/[^`]*::\w+`", claim)] == []
