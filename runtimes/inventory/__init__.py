"""Holds what exists now: a mirror of each engine, the fleet of all engines, and the search of resources by name."""
