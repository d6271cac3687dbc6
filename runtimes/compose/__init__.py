"""Recognises and scales services of Docker Compose."""
