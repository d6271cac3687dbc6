"""Tests that each module says what it does: in its docstring, and in that of its first public definition."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("bot", "charts", "collectors", "commands", "core", "deploy", "runtimes")
GENERATED = ROOT / "runtimes" / "proto"
# These have the same job in every module of their kind, and the module's docstring describes it.
DESCRIBED_BY_MODULE = frozenset({"check", "collect", "main", "plan", "render"})


def faults_of(text: str) -> list[str]:
    tree = ast.parse(text)
    faults = [] if ast.get_docstring(tree) else ["the module has no docstring"]
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if node.name not in DESCRIBED_BY_MODULE and not ast.get_docstring(node):
            faults.append(f"{node.name} has no docstring")
        break
    return faults


def test_each_module_and_its_first_public_definition_have_a_docstring() -> None:
    modules = [
        path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if GENERATED not in path.parents
    ]
    assert len(modules) > 800
    found = {str(path.relative_to(ROOT)): faults_of(path.read_text()) for path in modules}
    assert {path: faults for path, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("def start():\n    '''Starts.'''\n", ["the module has no docstring"]),
        ("'''Starts.'''\ndef _start(): ...\nclass Motor: ...\n", ["Motor has no docstring"]),
        ("'''Starts.'''\nasync def plan(): ...\ndef stop(): ...\n", []),
    ],
    ids=["module", "class", "plan"],
)
def test_a_missing_docstring_is_found(text: str, faults: list[str]) -> None:
    assert faults_of(text) == faults
