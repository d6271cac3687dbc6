"""Runs the demo: Quarterdeck with Prometheus and Alertmanager, on sample containers that fail in different ways."""
