"""Every log message in the source is a sentence: it begins with a capital letter and ends with a full stop.

A value belongs into a field of the message, not into its text, so that a program can find every message by its text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.helpers.paths import ROOT

PACKAGES = ("bot", "collectors", "commands", "core", "runtimes")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
# A sentence about two addresses, which is also the text of the error that is raised.
BUILT = {"runtimes/base/duplicate_engines.py"}


def log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls such as `log.info(…)`, whatever the logger's variable is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if "log" in name.lower():
                yield node


def literals(node: ast.expr) -> Iterator[str]:
    """The texts that the expression may have, as far as they are written in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def messages() -> Iterator[tuple[str, ast.expr]]:
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for call in log_calls(ast.parse(file.read_text())):
                if call.args:
                    yield str(file.relative_to(ROOT)), call.args[0]


def is_sentence(text: str) -> bool:
    return text[:1].isupper() and text.endswith(".") and not text.endswith("..") and ";" not in text


def test_every_log_message_is_a_sentence() -> None:
    found = [(file, text) for file, node in messages() for text in literals(node)]
    assert len(found) > 100, "the test finds the messages"
    assert [(file, text) for file, text in found if not is_sentence(text)] == []


def test_no_log_message_has_a_value_in_its_text() -> None:
    assert [file for file, node in messages() if isinstance(node, ast.JoinedStr) and file not in BUILT] == []


@pytest.mark.parametrize("text", ["the store failed.", "The store failed", "The store failed; it is tried again.", ""])
def test_another_form_is_found(text: str) -> None:
    assert not is_sentence(text)
