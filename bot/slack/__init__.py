"""Slack: what is said there becomes a command line, and a reply becomes a message of blocks.

Only this package knows Slack's shapes and limits; nothing below it does.
"""
