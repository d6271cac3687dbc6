"""Runs commands from a terminal: an interactive console, and single commands for scripts."""
