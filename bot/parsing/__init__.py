"""Command lines into arguments, and usage texts."""
