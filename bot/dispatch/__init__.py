"""Runs one command: parse, authorise, confirm, audit, execute, reply."""
