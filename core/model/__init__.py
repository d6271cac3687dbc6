"""Frozen values: actions, what engines report, identities, policy and replies."""
