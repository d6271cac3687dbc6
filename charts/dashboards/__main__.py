"""Writes every dashboard to `charts/quarterdeck/dashboards/`, one JSON file each, and prints their names."""

import sys

from charts.dashboards.catalogue import FOLDER, as_json, load_dashboards

for dashboard in load_dashboards():
    file = FOLDER / f"{dashboard.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(as_json(dashboard))
    sys.stdout.write(f"charts/quarterdeck/dashboards/{file.name}\n")
