"""Defines the error that the demo raises when it cannot continue."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on. The message says why, and what to do about it."""
