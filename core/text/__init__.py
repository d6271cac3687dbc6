"""Processes text from people and engines: splits command lines, removes control characters, hides secrets."""
