"""Draws the dashboards from the answers of a Prometheus: `python -m charts.pictures --prometheus URL --to FOLDER`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from charts.pictures.dashboard_queries import Times
from charts.pictures.draw import draw_dashboards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", required=True, help="the address of the server, such as http://127.0.0.1:9090")
    parser.add_argument("--to", type=Path, default=Path("docs/pictures"), help="the folder of the pictures")
    parser.add_argument("--minutes", type=float, default=180.0, help="the range that is drawn, until now")
    parser.add_argument("--scrape", type=float, default=15.0, help="seconds between two scrapes")
    parser.add_argument("--container", default=".*", help="the container of the dashboard Container")
    chosen = parser.parse_args()
    now = time.time()
    step = max(chosen.scrape, chosen.minutes * 60 / 300)
    times = Times(begin=now - chosen.minutes * 60, end=now, step=step, scrape=chosen.scrape)
    for picture in draw_dashboards(chosen.prometheus, chosen.to, times, {"container": chosen.container}):
        sys.stdout.write(f"{picture}\n")


main()
