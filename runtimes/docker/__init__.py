"""Connects Quarterdeck to Docker Engine, by its HTTP API."""
