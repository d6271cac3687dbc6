"""Formats on the wire that several engines share; pure functions."""
