"""Runs commands automatically when alerts fire, within limits: self-healing."""
