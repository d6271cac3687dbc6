"""Watches engines: subscribes to their events, lists what exists, counts, and serves the metrics page."""
