"""Connects to container engines: contains one adapter for each engine, and the code that all adapters share."""
