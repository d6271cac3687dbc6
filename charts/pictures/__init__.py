"""Draws the dashboards from the answers of a Prometheus, without Grafana. Development only.

`python -m charts.pictures --prometheus http://127.0.0.1:9090` reads the files of `charts/quarterdeck/dashboards/`, asks
Prometheus what each panel asks, draws the answers as SVG on a page, and lets Chromium make a PNG of it. A picture shows
the real answers, the positions, units, thresholds and names of the panels; Grafana's own drawing looks different.
"""
