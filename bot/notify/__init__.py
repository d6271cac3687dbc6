"""Turns alerts into incidents in the store, and tells people about them."""
