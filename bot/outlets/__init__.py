"""Connects incidents with other systems: webhooks, Alertmanagers, and a dead man's switch."""
