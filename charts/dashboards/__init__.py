"""Defines Grafana's dashboards as code. Development only: the product does not import this package.

`python -m charts.dashboards` writes one JSON file for each dashboard to `charts/quarterdeck/dashboards/`. Each
dashboard is a module here that exports one value, `dashboard`. The models of `grafana-foundation-sdk` give the JSON its
form, that of Grafana 10.1, which later versions read too. Panels have ids in their order, so a diff shows what changed.
"""
