"""Commands about whole Swarms."""
