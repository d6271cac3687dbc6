"""The version, with and without an installed package."""

from __future__ import annotations

import importlib.metadata

import pytest
from typer.testing import CliRunner

from bot import command_line
from core.version import read_quarterdeck_version


def test_the_version_of_the_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"quarterdeck": "9.8.7"}[name])
    assert read_quarterdeck_version() == "9.8.7"


def test_without_package_metadata_the_version_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert read_quarterdeck_version() == "unknown"
    result = CliRunner().invoke(command_line.app, ["--version"])
    assert (result.exit_code, result.output) == (0, "quarterdeck unknown\n")
