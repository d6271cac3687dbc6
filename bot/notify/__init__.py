"""Turns alerts into incidents in the store, and posts messages about them."""
