"""Decides what a person may do: evaluates the policy, stores grants, and protects Quarterdeck's own containers."""
