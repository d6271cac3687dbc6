"""Defines the one error of the demo."""

from __future__ import annotations


class Problem(Exception):
    """The demo cannot go on. The message says why, and what to do about it."""
