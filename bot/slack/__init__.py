"""Connects Quarterdeck to Slack: turns what Slack delivers into command lines, and replies into messages of blocks.

Only this package uses Slack's payloads, clients and limits.
"""
