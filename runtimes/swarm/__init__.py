"""Docker Swarm as one engine, reached through any of its managers."""
