"""Parses command lines into arguments, completes them, and describes their usage."""
