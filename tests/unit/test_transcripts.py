"""The documents show the terminal sessions and pictures that `make pictures` records, and their commands exist."""

from __future__ import annotations

import re

import pytest

from bot.parsing import parser
from commands.catalogue import load_catalogue
from core import errors
from tests.helpers.paths import ROOT

PICTURES = ROOT / "docs" / "pictures"
DOCUMENTS = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
CATALOGUE = load_catalogue()
FOR_SCRIPTS = re.compile(r'^ *\$ \S*quarterdeck do (?:--\S+ )*"(.+?)"', re.MULTILINE)


@pytest.fixture
def scripts(monkeypatch):
    """The modules of docs/pictures, which are scripts and no package."""
    monkeypatch.syspath_prepend(str(PICTURES))
    import draw
    import sessions
    import transcripts

    return draw, sessions, transcripts


def test_every_session_of_a_document_is_recorded_and_every_recorded_one_is_shown(scripts):
    _, sessions, transcripts = scripts
    found = [name for text in DOCUMENTS.values() for name in transcripts.find_transcripts(text)]
    assert sorted(found) == sorted(sessions.SESSIONS.keys() - sessions.DRAWN)
    by_hand = [
        line for text in DOCUMENTS.values() for line in transcripts.without(text).splitlines() if "deck> " in line
    ]
    assert by_hand == []


def test_each_line_of_a_session_means_today_what_it_meant_when_it_was_recorded(scripts):
    """A line that is no command is refused with the sentence that the session shows."""
    _, _, transcripts = scripts
    typed = [one for text in DOCUMENTS.values() for lines in transcripts.find_transcripts(text).values() for one in
             transcripts.exchanges(lines)]  # fmt: skip
    assert len(typed) > 20
    for line, shown in typed:
        if line.isdigit():  # a numbered choice
            continue
        try:
            parser.parse(line, CATALOGUE)
        except errors.UserError as error:
            assert shown[0] == error.full_message(), line


def test_the_commands_for_scripts_are_commands():
    found = [line for text in DOCUMENTS.values() for line in FOR_SCRIPTS.findall(text)]
    assert len(found) > 3
    for line in found:
        parser.parse(line, CATALOGUE)


def test_the_pictures_that_documents_show_are_drawn_and_the_drawn_ones_are_shown(scripts):
    draw, sessions, _ = scripts
    shown = {name for text in DOCUMENTS.values() for name in re.findall(r"pictures/([\w-]+)\.png", text)}
    drawn = {*draw.WIDTHS, *draw.SPLIT.values(), *sessions.DRAWN}
    assert {name for name in shown if not name.startswith("dashboard-")} == drawn
    assert [name for name in sorted(shown) if not (PICTURES / f"{name}.png").is_file()] == []


def test_a_session_is_replaced_where_it_is_and_nothing_else(scripts):
    _, _, transcripts = scripts
    block = "{0}<!-- recorded by make pictures: one -->\n{0}```console\n{1}{0}```\n{0}<!-- end of one -->"
    document = "1. text\n\n" + block.format("   ", "   deck> old\n   its reply\n") + "\n\n```console\n$ other\n```\n"
    assert transcripts.find_transcripts(document) == {"one": ["deck> old", "its reply"]}
    renewed = transcripts.replace(document, {"one": ["deck> ps", "", "\\1 up"], "two": ["deck> no place for it"]})
    assert renewed == document.replace("   deck> old\n   its reply\n", "   deck> ps\n\n   \\1 up\n")
    assert transcripts.exchanges(["$ make run", "deck> ps", "1 up", "deck> 2"]) == [("ps", ["1 up"]), ("2", [])]
