"""Reads quarterdeck.yaml and the environment into one frozen, validated configuration."""
