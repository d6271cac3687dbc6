"""The documents name files that exist."""

from __future__ import annotations

import re

import pytest

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
def test_every_test_that_a_document_names_exists(document: str) -> None:
    named = set(re.findall(r"`(tests/[\w./-]+\.py)::(\w+)`", (ROOT / document).read_text()))
    missing = [
        f"{path}::{name}"
        for path, name in sorted(named)
        if not (ROOT / path).exists()
        or not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert not missing


def test_the_threat_model_names_a_test_for_each_claim() -> None:
    text = (ROOT / "docs/security.md").read_text().partition("## A person with some rights")[2]
    claims = re.findall(r"^- .*(?:\n  .*)*", text.partition("## What is not protected")[0], re.MULTILINE)
    assert len(claims) > 25
    assert [claim for claim in claims if not re.search(r"`tests/[^`]*::\w+`", claim)] == []
