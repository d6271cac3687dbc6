"""Holds the built-in alert rules, one per module. Each module exports one value, `rule`."""
