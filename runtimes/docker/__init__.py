"""Docker Engine, by its HTTP API."""
