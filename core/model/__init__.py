"""Defines the values that all layers share: actions, what engines report, identities, policy and replies."""
