"""Returns the version of the installed Quarterdeck package."""

from __future__ import annotations

import os


def read_quarterdeck_version() -> str:
    """The version, or `unknown` when the code runs without an installed package."""
    import importlib.metadata  # noqa: PLC0415 (it takes longer than the rest of a short command)

    try:
        return importlib.metadata.version("quarterdeck")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def installed_version() -> str:
    """Returns the name of the package's metadata folder beside this code, such as `quarterdeck-0.1.0.dist-info`. Empty
    if there is none. Two processes with different names run different versions."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    return max((name for name in names if name.startswith("quarterdeck-") and name.endswith(".dist-info")), default="")
