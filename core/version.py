"""Returns the version of the installed Quarterdeck package."""

from __future__ import annotations

import importlib.metadata


def quarterdeck_version() -> str:
    """The version, or `unknown` when the code runs without an installed package."""
    try:
        return importlib.metadata.version("quarterdeck")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
