"""Podman, by its libpod API and its events file; and the units that keep its containers running."""
