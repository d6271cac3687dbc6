"""Finds the dashboards of this package and renders each as JSON: the same bytes each time.

A dashboard is a module that exports `dashboard`, a `Dashboard` of `charts.dashboards.dashboard`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from charts.dashboards.dashboard import Dashboard

FOLDER = Path(__file__).resolve().parents[1] / "quarterdeck" / "dashboards"


def load_dashboards() -> Sequence[Dashboard]:
    """Returns all dashboards by name."""
    package = importlib.import_module("charts.dashboards")
    modules = [
        importlib.import_module(one.name)
        for one in pkgutil.iter_modules(package.__path__, "charts.dashboards.")
        if not one.name.endswith("__main__")
    ]
    found = [getattr(module, "dashboard", None) for module in modules]
    return sorted((one for one in found if isinstance(one, Dashboard)), key=lambda one: one.name)


def as_json(dashboard: Dashboard) -> str:
    """Returns the JSON of a dashboard, as Grafana imports it."""
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
