"""Connects Quarterdeck to Podman, by its libpod API and its event file, and to the systemd units that run its
containers.
"""
